-- Visits are followed by counting the rows that belong to them, so that a repeat counts nothing twice.

create or replace function private.visits_of(p_day date)
returns table (
  user_id uuid, id uuid, pages integer, last_page text, swipes integer, clicks integer, converted_at timestamptz,
  ended_at timestamptz)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- planned for the rows of this day
as $$
declare
  since constant timestamptz := p_day::timestamp at time zone 'UTC';
  until constant timestamptz := (p_day + 1)::timestamp at time zone 'UTC';
begin
  return query
  with found (user_id, session_id, at) as materialized (  -- acts of the day, and clicks that led to its orders
    select t.user_id, t.session_id, private.uuid_v7_time(t.id) from public.product_views t
    where t.id >= private.uuid_v7_floor(since) and t.id < private.uuid_v7_floor(until)
    union
    select t.user_id, t.session_id, private.uuid_v7_time(t.id) from public.analytics_events t
    where t.id >= private.uuid_v7_floor(since) and t.id < private.uuid_v7_floor(until)
    union
    select t.user_id, t.session_id, t.shown_at from public.impressions t where t.shown_at >= since and t.shown_at < until
      and t.id >= private.uuid_v7_floor(since - interval '1 day') and t.id < private.uuid_v7_floor(until + interval '1 day')
    union
    select t.user_id, t.session_id, t.created_at from public.swipes t where t.created_at >= since and t.created_at < until
    union
    select t.user_id, t.session_id, t.click_timestamp from public.affiliate_clicks t
    where t.click_timestamp >= since and t.click_timestamp < until
    union
    select t.user_id, t.session_id, t.click_timestamp from public.conversions c
    join public.affiliate_clicks t on t.id = c.click_id where c.ordered_at >= since and c.ordered_at < until
  ),
  visits as materialized (  -- those that the day can change
    select v.user_id, v.id, v.started_at, v.ended_at from public.session_analytics v
    where v.started_at < until and coalesce(v.ended_at, v.started_at) >= since
    union
    select a.user_id, v.id, v.started_at, v.ended_at
    from found a
    cross join lateral (
      (select v.id, v.started_at, v.ended_at, 1 as place from public.session_analytics v
      where v.user_id = a.user_id and v.session_id = a.session_id order by v.started_at desc, v.id desc limit 1)
      union all
      (select v.id, v.started_at, v.ended_at, 2 from public.session_analytics v
      where v.user_id = a.user_id and v.started_at > a.at - interval '24 hours' and v.started_at <= a.at
      order by v.started_at desc, v.id desc limit 1)
      order by place limit 1) v
  ),
  people as materialized (  -- each act is read once, however many visits there are
    select v.user_id, min(v.started_at) - interval '1 hour' as since,
      -- What is later belongs to a day that is computed after this one. So that no other partitions are read.
      max(greatest(v.started_at, v.ended_at, until)) + interval '1 day' as until
    from visits v group by v.user_id
  ),
  acts as materialized (
    select p.user_id, t.*
    from people p
    cross join lateral (
      select 'page' as kind, t.session_id, private.uuid_v7_time(t.id) as at, t.source_page as page, null::uuid as click_id
      from public.product_views t
      where t.user_id = p.user_id and t.id >= private.uuid_v7_floor(p.since) and t.id < private.uuid_v7_floor(p.until)
      union all
      select 'page', t.session_id, private.uuid_v7_time(t.id), t.page, null from public.analytics_events t
      where t.user_id = p.user_id and t.id >= private.uuid_v7_floor(p.since) and t.id < private.uuid_v7_floor(p.until)
      union all
      select 'impression', t.session_id, t.shown_at, null, null from public.impressions t
      where t.user_id = p.user_id and t.shown_at >= p.since and t.shown_at < p.until
        and t.id >= private.uuid_v7_floor(p.since - interval '1 day') and t.id < private.uuid_v7_floor(p.until + interval '1 day')
      union all
      select 'swipe', t.session_id, t.created_at, null, null from public.swipes t
      where t.user_id = p.user_id and t.created_at >= p.since and t.created_at < p.until and t.undone_at is null
      union all
      select 'click', t.session_id, t.click_timestamp, null, t.id from public.affiliate_clicks t
      where t.user_id = p.user_id and t.click_timestamp >= p.since and t.click_timestamp < p.until
    ) t
  ),
  own as materialized (  -- as private.funnel_facts() finds the visit of an event
    select a.*, v.id
    from acts a
    cross join lateral (
      (select v.id, v.started_at, 1 as place from public.session_analytics v
      where v.user_id = a.user_id and v.session_id = a.session_id order by v.started_at desc, v.id desc limit 1)
      union all
      (select v.id, v.started_at, 2 from public.session_analytics v
      where v.user_id = a.user_id and v.started_at > a.at - interval '24 hours' and v.started_at <= a.at
      order by v.started_at desc, v.id desc limit 1)
      order by place limit 1) v
    where a.at >= v.started_at - interval '1 hour'
  ),
  counted as materialized (  -- before it is joined: the planner takes visits for few, and would count once for each
    select o.user_id, o.id, count(distinct o.page)::integer as pages,
      (array_agg(o.page order by o.at desc, o.page) filter (where o.page is not null))[1] as last_page,
      (count(*) filter (where o.kind = 'swipe'))::integer as swipes,
      (count(*) filter (where o.kind = 'click'))::integer as clicks,
      min((select min(c.ordered_at) from public.conversions c
        where c.click_id = o.click_id and c.status not in ('declined', 'void', 'unknown'))) as converted_at,
      max(o.at) as last_at
    from own o group by o.user_id, o.id
  )
  select v.user_id, v.id, coalesce(o.pages, 0), o.last_page, coalesce(o.swipes, 0), coalesce(o.clicks, 0), o.converted_at,
    greatest(v.started_at, o.last_at)
  from visits v left join counted o on o.user_id = v.user_id and o.id = v.id;
end
$$;
comment on function private.visits_of(date) is
  'What session_analytics should say of each visit that a day (UTC) is part of, or that has acts or orders of it.';

revoke all on function private.visits_of(date) from public, anon, authenticated;
