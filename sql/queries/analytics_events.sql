-- name: lock(user_id)
-- One sender per person: each sees what the one before it stored when it looks for repeats.
select pg_advisory_xact_lock(hashtextextended('analytics_events:' || :user_id::uuid::text, 0))

-- name: record(user_id, may_repeat_corrected, ids, names, properties, pages, session_id)
-- Nothing of somebody who withdrew analytics. An event already known stays as it is. A row per event now stored.
-- Ids whose time was corrected are known by all but their time (resolvers/client_ids.py); under lock().
with known as materialized (
  select substr(k.id::text, 15) as rest from public.analytics_events k
  where :may_repeat_corrected::boolean and k.user_id = :user_id::uuid
    and k.id >= private.uuid_v7_floor(now() - interval '31 days')
)
insert into public.analytics_events (id, session_id, event_name, properties, page)
select i.id, :session_id::uuid, i.name, i.properties::jsonb, i.page
from unnest(:ids::uuid[], :names::text[], :properties::text[], :pages::text[]) i (id, name, properties, page)
where private.has_consent(:user_id::uuid, 'analytics')
  and not exists (select from known k where k.rest = substr(i.id::text, 15))
on conflict (user_id, id) do nothing
returning id

-- name: known(user_id, rests)
-- Which of these ids, known by all but their time, are stored.
select substr(k.id::text, 15) as rest from public.analytics_events k
where k.user_id = :user_id::uuid and k.id >= private.uuid_v7_floor(now() - interval '31 days')
  and substr(k.id::text, 15) = any(:rests::text[])

-- name: count(since, until)
-- As an analyst, an administrator or service_role.
select * from private.count_events(:since::timestamptz, :until::timestamptz)
