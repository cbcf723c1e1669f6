-- name: lock(user_id)
-- Serialises the writers of a person, so that each sees what the previous one wrote when it updates the signals.
select pg_advisory_xact_lock(hashtextextended('preferences:' || :user_id::uuid::text, 0))

-- name: record(user_id, session_id, client_swipe_ids, product_ids, directions, recommendation_ids, contexts)
-- Stores the swipes of one request, in order, and updates the signals, in one round trip. Returns the stored rows, without
-- those of an unknown or inactive product or a known client_swipe_id; see known().
-- The parts run in the order in which each reads the previous one: nothing is written before the lock is held, and
-- signals are updated by a function that sees what was committed by then, unlike this statement's snapshot.
with locked as materialized (
  select pg_advisory_xact_lock(hashtextextended('preferences:' || :user_id::uuid::text, 0))
),
stored as (
  insert into public.swipes (
    client_swipe_id, product_id, session_id, direction, recommendation_id, interaction_context)
  select i.client_swipe_id, p.id, :session_id::uuid, i.direction::public.swipe_direction,
    i.recommendation_id, i.context::jsonb
  from locked
  cross join unnest(
    :client_swipe_ids::text[], :product_ids::uuid[], :directions::text[], :recommendation_ids::uuid[], :contexts::text[])
    with ordinality i (client_swipe_id, product_id, direction, recommendation_id, context, position)
  join public.product_offers o on o.id = i.product_id  -- of which product, if it was merged
  join public.products p on p.id = o.product_id and p.is_active
  order by i.position
  on conflict (user_id, client_swipe_id) do nothing
  returning id, client_swipe_id, product_id, direction, is_for_somebody_else
),
followed as materialized (
  select private.sync_signals(s.products)
  from (
    select array_agg(s.product_id) filter (where not s.is_for_somebody_else) as products
    from locked left join stored s on true
  ) s
  where s.products is not null
)
select s.id, s.client_swipe_id, s.product_id, s.direction
from (select count(*) from followed) done cross join stored s

-- name: known(user_id, client_swipe_ids, product_ids)
-- In the given order: whether the catalogue has the product, and the first swipe with the id, or nulls.
select p.id is not null as has_product, s.id, s.direction,
  case when s.product_id = p.id then i.product_id else s.product_id end as product_id
from unnest(:client_swipe_ids::text[], :product_ids::uuid[]) with ordinality i (client_swipe_id, product_id, position)
left join public.product_offers o on o.id = i.product_id
left join public.products p on p.id = o.product_id and p.is_active
left join public.swipes s on s.user_id = :user_id::uuid and s.client_swipe_id = i.client_swipe_id
order by i.position

-- name: undo(user_id, swipe_id)
-- Undoes a swipe; returns its product.
with held as materialized (select private.hold_swipe(:swipe_id::uuid))
update public.swipes s set undone_at = clock_timestamp() from held
where s.user_id = :user_id::uuid and s.id = :swipe_id::uuid and s.undone_at is null
returning s.product_id

-- name: exists(user_id, swipe_id)
select exists (select from public.swipes where user_id = :user_id::uuid and id = :swipe_id::uuid)

-- name: not_undone()
r.undone_at is null
