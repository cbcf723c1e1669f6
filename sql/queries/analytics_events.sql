-- name: lock(user_id)
-- Serialises the requests of a person, so that each sees what the previous one stored when it looks for repeats.
select pg_advisory_xact_lock(hashtextextended('analytics_events:' || :user_id::uuid::text, 0))

-- name: record(user_id, may_repeat_corrected, ids, names, properties, pages, session_id)
-- Stores nothing without consent to analytics; a known event stays unchanged. Returns a row per stored event. Ids with a
-- corrected time are recognised by their other bits (resolvers/client_ids.py); under lock().
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
-- The stored ids among these, which are given without their time.
select substr(k.id::text, 15) as rest from public.analytics_events k
where k.user_id = :user_id::uuid and k.id >= private.uuid_v7_floor(now() - interval '31 days')
  and substr(k.id::text, 15) = any(:rests::text[])

-- name: count(since, until)
-- As an analyst, an administrator or service_role.
select * from private.count_events(:since::timestamptz, :until::timestamptz)
