-- name: lock(user_id)
-- One sender per person: each sees what the one before it stored when it looks for repeats.
select pg_advisory_xact_lock(hashtextextended('product_views:' || :user_id::uuid::text, 0))

-- name: record(user_id, may_repeat_corrected, ids, product_ids, sources, durations, session_id)
-- Nothing of somebody who withdrew analytics. A view already known stays as it is; one of a product that is gone is left out. A row per view now stored.
-- Ids whose time was corrected are known by all but their time (resolvers/client_ids.py); under lock().
with known as materialized (
  select substr(k.id::text, 15) as rest from public.product_views k
  where :may_repeat_corrected::boolean and k.user_id = :user_id::uuid
    and k.id >= private.uuid_v7_floor(now() - interval '31 days')
),
input as (
  select * from unnest(:ids::uuid[], :product_ids::uuid[], :sources::text[], :durations::int[])
    i (id, product_id, source_page, duration)
)
insert into public.product_views (id, product_id, session_id, source_page, view_duration_seconds)
select i.id, i.product_id, :session_id::uuid, i.source_page, i.duration
from input i join public.products p on p.id = i.product_id
where private.has_consent(:user_id::uuid, 'analytics')
  and not exists (select from known k where k.rest = substr(i.id::text, 15))
on conflict (user_id, id) do nothing
returning id

-- name: known(user_id, rests)
-- Which of these ids, known by all but their time, are stored.
select substr(k.id::text, 15) as rest from public.product_views k
where k.user_id = :user_id::uuid and k.id >= private.uuid_v7_floor(now() - interval '31 days')
  and substr(k.id::text, 15) = any(:rests::text[])

-- name: ensure_partitions()
-- As service_role: partitions of the months to come.
select private.ensure_partitions()

-- name: default_partition_rows()
-- As service_role: rows for which there was no partition; there should be none.
select partition, rows from private.default_partition_rows()
