-- What came of impressions: docs/recommendations.md#impressions.

-- Of each impression in a time (and of one arm, if one is given): what the person then did with the recommendation. An act
-- belongs to the newest impression before it; clocks of clients may be 5 minutes fast. Row level security applies.
create or replace function private.impression_outcomes(p_since timestamptz, p_until timestamptz, p_arms integer[])
returns table (
  user_id uuid, recommendation_context text, model_version integer, arm integer, propensity real, shown_at timestamptz,
  is_swiped boolean, is_liked boolean, is_clicked boolean, is_bought boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with shown as (
    select i.user_id, i.id, i.product_id, i.recommendation_context, i.model_version, i.arm, i.propensity, i.shown_at,
      i.shown_at - interval '5 minutes' as acts_from
    from public.impressions i
    -- By the id, too, so that only the partitions of this time are read.
    where i.id >= private.uuid_v7_floor(p_since - interval '1 day') and i.id < private.uuid_v7_floor(p_until + interval '1 day')
      and i.shown_at >= p_since and i.shown_at < p_until
      and (p_arms is null or i.arm = any (p_arms))
  )
  select s.user_id, s.recommendation_context, s.model_version, s.arm, s.propensity, s.shown_at,
    coalesce(w.is_swiped, false), coalesce(w.is_liked, false), coalesce(c.is_clicked, false),
    coalesce(c.is_bought, false) or coalesce(f.is_bought, false)
  from shown s
  left join public.recommendations r on r.user_id = s.user_id and r.product_id = s.product_id
    and r.recommendation_context = s.recommendation_context and r.model_version = s.model_version and r.arm = s.arm
    and r.propensity = s.propensity
  left join lateral (
    select coalesce(min(i.shown_at), 'infinity') - interval '5 minutes' as acts_until from public.impressions i
    where i.product_id = r.product_id and i.user_id = r.user_id and (i.shown_at, i.id) > (s.shown_at, s.id)
      and i.recommendation_context = s.recommendation_context and i.model_version = s.model_version and i.arm = s.arm
      and i.propensity = s.propensity) n on r.id is not null
  left join lateral (
    select true as is_swiped, bool_or(w.direction in ('right', 'up')) as is_liked from public.swipes w
    where w.user_id = r.user_id and w.recommendation_id = r.id and w.undone_at is null
      and w.created_at >= s.acts_from and w.created_at < n.acts_until
    having count(*) > 0) w on true
  left join lateral (
    select true as is_clicked, bool_or(exists (
      select from public.conversions v where v.click_id = k.id and not v.is_held and v.status in ('pending', 'amended', 'approved', 'paid'))) as is_bought
    from public.affiliate_clicks k
    where k.user_id = r.user_id and k.recommendation_id = r.id
      and k.click_timestamp >= s.acts_from and k.click_timestamp < n.acts_until
    having count(*) > 0) c on true
  left join lateral (
    select true as is_bought from public.recommendation_feedback f
    where f.user_id = r.user_id and f.recommendation_id = r.id and f.feedback_type = 'purchased' and f.conversion_id is null
      and f.created_at >= s.acts_from and f.created_at < n.acts_until
    limit 1) f on true
$$;
comment on function private.impression_outcomes(timestamptz, timestamptz, integer[]) is
  'A row per impression, with what the person did with the recommendation until it was shown again.';

create or replace function private.count_impressions(p_since timestamptz, p_until timestamptz)
returns table (
  context text, impressions bigint, people bigint, swiped bigint, liked bigint, clicked bigint, bought bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- What analysts see of: the whole days (UTC) of the time that are over.
  first_at constant timestamptz := private.start_of_day(p_since + interval '1 day' - interval '1 microsecond');
  end_at constant timestamptz := least(private.start_of_day(p_until), private.first_unpublished_day()::timestamp at time zone 'UTC');
begin
  if not coalesce(private.app_role() in ('analyst', 'admin') or auth.role() = 'service_role', false) then
    raise insufficient_privilege using message = 'only analysts may count impressions';
  end if;
  if not private.may_read_small_counts() then  -- what private.rollup_counts() shows them by context, step by step
    return query
      with published as materialized (
        select r.keys[1] as context, r.day, r.published as counts from private.rollups r
        where r.report = 'recommendations' and r.grouping_name = 'context' and r.published[1] > 0
          and r.day >= (first_at at time zone 'UTC')::date and r.day < (end_at at time zone 'UTC')::date
      ),
      viewers as (
        select i.recommendation_context as context, private.rounded_count(count(distinct i.user_id)) as people
        from public.impressions i
        where i.id >= private.uuid_v7_floor(first_at - interval '1 day') and i.id < private.uuid_v7_floor(end_at + interval '1 day')
          and exists (
            select from published k
            where k.context = i.recommendation_context and k.day = (i.shown_at at time zone 'UTC')::date)
        group by 1
      )
      select p.context, sum(p.counts[1])::bigint, coalesce(max(v.people), 0), coalesce(sum(p.counts[2]), 0)::bigint,
        coalesce(sum(p.counts[3]), 0)::bigint, coalesce(sum(p.counts[4]), 0)::bigint, coalesce(sum(p.counts[5]), 0)::bigint
      from published p left join viewers v on v.context = p.context
      group by 1 order by 1;
    return;
  end if;
  return query
    select o.recommendation_context, count(*), count(distinct o.user_id), count(*) filter (where o.is_swiped),
      count(*) filter (where o.is_liked), count(*) filter (where o.is_clicked), count(*) filter (where o.is_bought)
    from private.impression_outcomes(p_since, p_until, null) o
    group by o.recommendation_context order by 1;
end
$$;
comment on function private.count_impressions(timestamptz, timestamptz) is
  'Of all people, per context: impressions of this time, and how many were followed by a swipe, a like, a click, a purchase. For '
  'analysts of whole days (UTC) that are over, and what private.rollups publishes of them.';

revoke all on function private.impression_outcomes(timestamptz, timestamptz, integer[]),
  private.count_impressions(timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.count_impressions(timestamptz, timestamptz) to authenticated, service_role;
grant execute on function private.impression_outcomes(timestamptz, timestamptz, integer[]) to service_role;
