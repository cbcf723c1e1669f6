-- name: lock(user_id)
-- One writer per person: each sees what the one before it wrote when it computes preferences.
select pg_advisory_xact_lock(hashtextextended('preferences:' || :user_id::uuid::text, 0))

-- name: record(user_id, session_id, client_swipe_ids, product_ids, directions, recommendation_ids, contexts)
-- Swipes of one request, in order. A known client_swipe_id stores nothing and gives its first swipe. A row per input: product_exists, and swipe_id with what it was recorded as
-- (null when a concurrent request is still writing the same id).
with input as (
  select * from unnest(
    :client_swipe_ids::text[], :product_ids::uuid[], :directions::text[], :recommendation_ids::uuid[], :contexts::text[])
    with ordinality i (client_swipe_id, product_id, direction, recommendation_id, context, position)
),
inserted as (
  insert into public.swipes (
    client_swipe_id, product_id, session_id, direction, recommendation_id, interaction_context)
  select i.client_swipe_id, i.product_id, :session_id::uuid, i.direction::public.swipe_direction,
    i.recommendation_id, i.context::jsonb
  from input i join public.products p on p.id = i.product_id
  order by i.position
  on conflict (user_id, client_swipe_id) do nothing
  returning id, client_swipe_id, product_id, direction
)
select i.position, exists (select from public.products p where p.id = i.product_id) as product_exists,
  coalesce(n.id, o.id) as swipe_id,
  coalesce(n.product_id, o.product_id) = i.product_id
    and coalesce(n.direction, o.direction)::text = i.direction as is_same
from input i
left join inserted n on n.client_swipe_id = i.client_swipe_id
left join public.swipes o on o.user_id = :user_id::uuid and o.client_swipe_id = i.client_swipe_id
order by i.position

-- name: undo(user_id, swipe_id)
update public.swipes set undone_at = clock_timestamp()
where user_id = :user_id::uuid and id = :swipe_id::uuid and undone_at is null
returning product_id

-- name: exists(user_id, swipe_id)
select exists (select from public.swipes where user_id = :user_id::uuid and id = :swipe_id::uuid)

-- name: any(user_id)
select exists (select from public.swipes where user_id = :user_id::uuid)

-- name: sync_signals(product_ids)
-- The newest swipe of each of these products (null: of all) that was not undone becomes its signal.
select private.sync_signals(:product_ids::uuid[])

-- name: not_undone()
r.undone_at is null
