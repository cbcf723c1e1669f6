-- name: record(user_id, ids, names, properties, pages, session_id)
-- Nothing of somebody who withdrew analytics. An event already known stays as it is. A row per event now stored.
insert into public.analytics_events (id, session_id, event_name, properties, page)
select i.id, :session_id::uuid, i.name, i.properties::jsonb, i.page
from unnest(:ids::uuid[], :names::text[], :properties::text[], :pages::text[]) i (id, name, properties, page)
where private.has_consent(:user_id::uuid, 'analytics')
on conflict (user_id, id) do nothing
returning id

-- name: count(since, until)
-- As an analyst, an administrator or service_role.
select * from private.count_events(:since::timestamptz, :until::timestamptz)
