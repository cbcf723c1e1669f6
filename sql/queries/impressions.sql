-- name: lock(user_id)
-- Serialises the requests of a person, so that each sees what the previous one stored when it looks for repeats and
-- counts the day.
select pg_advisory_xact_lock(hashtextextended('impressions:' || :user_id::uuid::text, 0))

-- name: record(user_id, may_repeat_corrected, ids, product_ids, contexts, models, arms, propensities, positions, shown_ats, durations, days, maximum, session_id)
-- As service_role, under lock(): stores nothing without consent to analytics; a known impression stays unchanged, and one
-- of a deleted product is left out. Returns a row per new impression: whether it was stored, or is beyond the maximum of
-- its day. Ids with a corrected time are recognised by their other bits (resolvers/client_ids.py).
with known as materialized (
  select substr(k.id::text, 15) as rest from public.impressions k
  where :may_repeat_corrected::boolean and k.user_id = :user_id::uuid
    and k.id >= private.uuid_v7_floor(now() - interval '31 days')
),
fresh as (
  select distinct on (i.id) i.id, o.product_id, i.context, i.model, i.arm, i.propensity, i.position, i.shown_at, i.duration,
    i.day, i.n
  from unnest(
    :ids::uuid[], :product_ids::uuid[], :contexts::text[], :models::int[], :arms::int[], :propensities::real[],
    :positions::int[], :shown_ats::timestamptz[], :durations::int[], :days::timestamptz[])
    with ordinality i (id, product_id, context, model, arm, propensity, position, shown_at, duration, day, n)
  join public.product_offers o on o.id = i.product_id
  where private.has_consent(:user_id::uuid, 'analytics')
    and not exists (select from known k where k.rest = substr(i.id::text, 15))
    and not exists (select from public.impressions o where o.user_id = :user_id::uuid and o.id = i.id)
  order by i.id, i.n
),
counted as (
  select f.*, row_number() over (partition by f.day order by f.n) + d.earlier <= :maximum::int as fits
  from fresh f
  join (
    select day, (
      select count(*) from public.impressions o
      where o.user_id = :user_id::uuid and o.id >= private.uuid_v7_floor(day)
        and o.id < private.uuid_v7_floor(day + interval '1 day')) as earlier
    from (select distinct day from fresh) days
  ) d using (day)
),
stored as (
  insert into public.impressions (
    user_id, id, product_id, recommendation_context, model_version, arm, propensity, position, shown_at, duration_ms,
    session_id)
  select :user_id::uuid, id, product_id, context, model, arm, propensity, position, shown_at, duration, :session_id::uuid
  from counted where fits
  returning id
)
select id, true as is_stored from stored
union all
select id, false from counted where not fits

-- name: known(user_id, rests)
-- The stored ids among these, which are given without their time.
select substr(k.id::text, 15) as rest from public.impressions k
where k.user_id = :user_id::uuid and k.id >= private.uuid_v7_floor(now() - interval '31 days')
  and substr(k.id::text, 15) = any(:rests::text[])

-- name: note_shown(user_id, product_ids, shown_ats)
-- As service_role: that products of the person's recommendations were shown, since the earliest time that is known.
update public.personality_recommendations r set is_shown = true, shown_at = least(r.shown_at, i.shown_at)
from (
  select o.product_id, min(i.shown_at) as shown_at
  from unnest(:product_ids::uuid[], :shown_ats::timestamptz[]) i (product_id, shown_at)
  join public.product_offers o on o.id = i.product_id group by 1
) i
where r.user_id = :user_id::uuid and r.product_id = i.product_id
  and (not r.is_shown or r.shown_at is null or r.shown_at > i.shown_at)

-- name: count(since, until)
-- As an analyst, an administrator or service_role.
select * from private.count_impressions(:since::timestamptz, :until::timestamptz)
