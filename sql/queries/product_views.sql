-- name: record(user_id, ids, product_ids, sources, durations, session_id)
-- Nothing of somebody who withdrew analytics. A view already known stays as it is; one of a product that is gone is left out. A row per view now stored.
with input as (
  select * from unnest(:ids::uuid[], :product_ids::uuid[], :sources::text[], :durations::int[])
    i (id, product_id, source_page, duration)
)
insert into public.product_views (id, product_id, session_id, source_page, view_duration_seconds)
select i.id, i.product_id, :session_id::uuid, i.source_page, i.duration
from input i join public.products p on p.id = i.product_id
where private.has_consent(:user_id::uuid, 'analytics')
on conflict (user_id, id) do nothing
returning id

-- name: ensure_partitions()
-- As service_role: partitions of the months to come.
select private.ensure_partitions()

-- name: default_partition_rows()
-- As service_role: rows for which there was no partition; there should be none.
select partition, rows from private.default_partition_rows()
