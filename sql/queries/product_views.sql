-- name: lock(user_id)
-- Serialises the requests of a person, so that each sees what the previous one stored when it looks for repeats.
select pg_advisory_xact_lock(hashtextextended('product_views:' || :user_id::uuid::text, 0))

-- name: record(user_id, may_repeat_corrected, ids, product_ids, sources, durations, session_id)
-- Stores nothing without consent to analytics; a known view stays unchanged, and one of a deleted product is left out.
-- Returns a row per stored view. Ids with a corrected time are recognised by their other bits (resolvers/client_ids.py);
-- under lock().
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
select i.id, o.product_id, :session_id::uuid, i.source_page, i.duration
from input i join public.product_offers o on o.id = i.product_id
where private.has_consent(:user_id::uuid, 'analytics')
  and not exists (select from known k where k.rest = substr(i.id::text, 15))
on conflict (user_id, id) do nothing
returning id

-- name: known(user_id, rests)
-- The stored ids among these, which are given without their time.
select substr(k.id::text, 15) as rest from public.product_views k
where k.user_id = :user_id::uuid and k.id >= private.uuid_v7_floor(now() - interval '31 days')
  and substr(k.id::text, 15) = any(:rests::text[])

-- name: ensure_partitions()
-- As service_role: creates partitions for the coming months.
select private.ensure_partitions()

-- name: default_partition_rows()
-- As service_role: counts rows without a partition of their own; there should be none.
select partition, rows from private.default_partition_rows()
