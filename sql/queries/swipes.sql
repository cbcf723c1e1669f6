-- name: lock(user_id)
-- One writer per person: each sees what the one before it wrote when it computes preferences.
select pg_advisory_xact_lock(hashtextextended('preferences:' || :user_id::uuid::text, 0))

-- name: record(user_id, session_id, client_swipe_ids, product_ids, directions, recommendation_ids, contexts)
-- Swipes of one request, in order, and all that follows from them, in one round trip. The rows that were stored: not
-- those of an unknown or inactive product, nor of a known client_swipe_id; see known().
-- The parts run in the order in which each reads the one before: nothing is written before the lock is held, and what
-- follows from the swipes is computed by a function that sees what was committed by then, not by this snapshot.
with locked as materialized (
  select pg_advisory_xact_lock(hashtextextended('preferences:' || :user_id::uuid::text, 0))
),
stored as (
  insert into public.swipes (
    client_swipe_id, product_id, session_id, direction, recommendation_id, interaction_context)
  select i.client_swipe_id, i.product_id, :session_id::uuid, i.direction::public.swipe_direction,
    i.recommendation_id, i.context::jsonb
  from locked
  cross join unnest(
    :client_swipe_ids::text[], :product_ids::uuid[], :directions::text[], :recommendation_ids::uuid[], :contexts::text[])
    with ordinality i (client_swipe_id, product_id, direction, recommendation_id, context, position)
  join public.products p on p.id = i.product_id and p.is_active
  order by i.position
  on conflict (user_id, client_swipe_id) do nothing
  returning id, client_swipe_id, product_id, direction
),
followed as materialized (
  select private.update_preferences(s.products)
  from (
    select coalesce(array_agg(s.product_id) filter (where s.id is not null), '{}') as products
    from locked left join stored s on true
  ) s
)
select s.id, s.client_swipe_id, s.product_id, s.direction from followed cross join stored s

-- name: known(user_id, client_swipe_ids, product_ids)
-- In the order asked for: whether the catalogue has the product, and the first swipe of the id, null where there is none.
select p.id is not null as has_product, s.id, s.product_id, s.direction
from unnest(:client_swipe_ids::text[], :product_ids::uuid[]) with ordinality i (client_swipe_id, product_id, position)
left join public.products p on p.id = i.product_id and p.is_active
left join public.swipes s on s.user_id = :user_id::uuid and s.client_swipe_id = i.client_swipe_id
order by i.position

-- name: undo(user_id, swipe_id)
-- Takes a swipe back; the product that it was of.
update public.swipes set undone_at = clock_timestamp()
where user_id = :user_id::uuid and id = :swipe_id::uuid and undone_at is null
returning product_id

-- name: exists(user_id, swipe_id)
select exists (select from public.swipes where user_id = :user_id::uuid and id = :swipe_id::uuid)

-- name: any(user_id)
select exists (select from public.swipes where user_id = :user_id::uuid)

-- name: not_undone()
r.undone_at is null
