-- Figures of behaviour by day: docs/analytics.md. A day is computed from its rows as a whole, so that late rows, undone
-- swipes, merges and erasures need no arithmetic of their own; triggers note which days have changed (rollup_days.sql).

create or replace function private.uuid_v7_time(p_id uuid) returns timestamptz
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select to_timestamp((('x' || substr(replace(p_id::text, '-', ''), 1, 12))::bit(48)::bigint) / 1000.0)
$$;
comment on function private.uuid_v7_time(uuid) is 'The time in a UUIDv7.';

create or replace function private.source_of(p_context text, p_is_gift_link boolean, p_page text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when p_context is not null then 'recommendation:' || p_context
    when p_is_gift_link then 'gift_link'
    when p_page is not null then 'page:/' || left(split_part(ltrim(
      regexp_replace(regexp_replace(lower(btrim(p_page)), '[?#].*$', ''), '^[a-z]+://[^/]*', ''), '/'), '/', 1), 60)
  end
$$;
comment on function private.source_of(text, boolean, text) is
  'Where something came from: a recommendation, a gift link, or the first part of the path of a page.';

-- The rows of a day. An event belongs to the visit of its session, else to the visit of its person that began last in the 24
-- hours before it: after signing in, the session is another one. Steps: domain/analytics.py.
create or replace function private.funnel_facts(p_day date)
returns table (user_id uuid, step integer, source text, device text, campaign text, network text, retailer text, category text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- planned for the rows of this day
as $$
declare
  since constant timestamptz := p_day::timestamp at time zone 'UTC';
  until constant timestamptz := (p_day + 1)::timestamp at time zone 'UTC';
begin
  return query
  with acts as (
    select v.user_id, 1 as step, v.session_id, v.started_at as at, private.source_of(null, false, v.landing_page) as source,
      null::text as device, null::text as campaign, null::text as network, null::uuid as retailer_id, null::uuid as product_id
    from public.session_analytics v where v.started_at >= since and v.started_at < until
    union all
    select v.user_id, 2, v.session_id, private.uuid_v7_time(v.id), private.source_of(null, false, v.source_page),
      null, null, null, null, v.product_id
    from public.product_views v
    where v.id >= private.uuid_v7_floor(since) and v.id < private.uuid_v7_floor(until)
    union all
    select i.user_id, 3, i.session_id, i.shown_at, 'recommendation:' || i.recommendation_context,
      null, null, null, null, i.product_id
    from public.impressions i where i.shown_at >= since and i.shown_at < until
      and i.id >= private.uuid_v7_floor(since - interval '1 day') and i.id < private.uuid_v7_floor(until + interval '1 day')
    union all
    select s.user_id, k.step, s.session_id, s.created_at, 'recommendation:' || r.recommendation_context,
      null, null, null, null, s.product_id
    from public.swipes s
    join (values (4, false), (5, true)) k (step, needs_like) on not k.needs_like or s.direction in ('right', 'up')
    left join public.recommendations r on r.user_id = s.user_id and r.id = s.recommendation_id
    where s.created_at >= since and s.created_at < until and s.undone_at is null
    union all
    select c.user_id, h.step, c.session_id, c.click_timestamp,
      private.source_of(r.recommendation_context, c.gift_link_id is not null, c.source_page), h.device, c.campaign,
      c.affiliate_network, c.retailer_id, c.product_id
    from (
      select c.user_id, c.id, 6 as step, coalesce(c.device_class, (
        select f.device_class from public.affiliate_redirects f
        where f.user_id = c.user_id and f.click_id = c.id and f.is_counted order by f.redirected_at, f.id limit 1)) as device
      from public.affiliate_clicks c
      where c.click_timestamp >= since and c.click_timestamp < until and c.substitute_of is null
      union all
      select f.user_id, f.click_id, 7, f.device_class
      from public.affiliate_redirects f
      where f.redirected_at >= since and f.redirected_at < until and f.is_counted
    ) h
    join public.affiliate_clicks c on c.user_id = h.user_id and c.id = h.id
    left join public.recommendations r on r.user_id = c.user_id and r.id = c.recommendation_id
  )
  select a.user_id, a.step, a.source, coalesce(a.device, v.device_class), coalesce(a.campaign, v.campaign), a.network,
    a.retailer_id::text, p.category_id::text
  from acts a
  left join public.products p on p.id = a.product_id
  left join lateral (
    (select v.device_class, v.campaign, 1 as place from public.session_analytics v
    where v.user_id = a.user_id and v.session_id = a.session_id order by v.started_at desc, v.id desc limit 1)
    union all
    (select v.device_class, v.campaign, 2 from public.session_analytics v
    where v.user_id = a.user_id and v.started_at > a.at - interval '24 hours' and v.started_at <= a.at
    order by v.started_at desc, v.id desc limit 1)
    order by place limit 1) v on true
  union all
  select c.user_id, k.step, private.source_of(m.recommendation_context, m.has_gift_link, m.source_page), m.device_class,
    m.campaign, c.affiliate_network, c.retailer_id::text, p.category_id::text
  from public.conversions c
  join (values (8), (9), (10)) k (step) on k.step = 8 or k.step = 9 and c.approved_at is not null
    or k.step = 10 and c.paid_minor + c.clawback_minor <> 0
  left join public.conversion_clicks m on m.affiliate_network = c.affiliate_network and m.reference = c.reference
  -- The offer leads to the product that it is of now, whether the report came before or after a merge or a split.
  left join public.product_offers sold on sold.id = m.offer_id
  left join public.product_offers named on named.id = c.product_id
  left join public.products p on p.id = coalesce(sold.product_id, named.product_id)
  where c.ordered_at >= since and c.ordered_at < until and c.status not in ('void', 'unknown');
end
$$;
comment on function private.funnel_facts(date) is 'A row per event of the funnel on a day (UTC), with what it may be grouped by.';

-- Which counts of a day analysts may add up, once it is over, each rounded. Each covers 5 people or more, and what is left of a larger count that they may
-- see is at least 5 people, too: with a small group its smallest neighbour of 5 or more is withheld. Whatever is added
-- up or subtracted, over days or dimensions, is a sum of published counts. Of a shop the network is the larger group.
-- Of pairs of dimensions nothing is published. Names of sources and campaigns, which anyone can make up or have a link of his
-- own with, are kept if 5 people or more came with them on the day.
create or replace function private.rollups_of(p_day date)
returns table (report text, grouping_name text, keys text[], events bigint[], people integer[], published bigint[])
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with raw as materialized (select * from private.funnel_facts(p_day)),
  sources as (
    select r.source from raw r where r.source is not null group by 1
    having count(distinct r.user_id) >= 5 order by count(distinct r.user_id) desc, 1 limit 100),
  campaigns as (
    select r.campaign from raw r where r.campaign is not null group by 1
    having count(distinct r.user_id) >= 5 order by count(distinct r.user_id) desc, 1 limit 100),
  facts as materialized (
    select r.user_id, r.step, r.device, r.network, r.retailer, r.category, count(*) as n,
      case when r.source is not null then coalesce(s.source, 'other') end as source,
      case when r.campaign is not null then coalesce(c.campaign, 'other') end as campaign
    from raw r left join sources s on s.source = r.source left join campaigns c on c.campaign = r.campaign
    group by r.user_id, r.step, r.device, r.network, r.retailer, r.category, 8, 9
  ),
  shown as materialized (
    select o.user_id, k.step, o.recommendation_context as context, o.model_version::text as model, o.arm::text as arm,
      count(*) as n
    from private.impression_outcomes(
      p_day::timestamp at time zone 'UTC', (p_day + 1)::timestamp at time zone 'UTC', null) o
    join (values (1), (2), (3), (4), (5)) k (step) on k.step = 1 or k.step = 2 and o.is_swiped or k.step = 3 and o.is_liked
      or k.step = 4 and o.is_clicked or k.step = 5 and o.is_bought
    group by o.user_id, k.step, o.recommendation_context, o.model_version, o.arm
  ),
  grouped as (
    select 'funnel' as report, f.step, concat_ws(',',
        case when grouping(f.source) = 0 then 'source' end, case when grouping(f.device) = 0 then 'device' end,
        case when grouping(f.campaign) = 0 then 'campaign' end, case when grouping(f.network) = 0 then 'network' end,
        case when grouping(f.retailer) = 0 then 'retailer' end, case when grouping(f.category) = 0 then 'category' end) as name,
      case when grouping(f.source) = 0 then array[f.source] else '{}' end
        || case when grouping(f.device) = 0 then array[f.device] else '{}' end
        || case when grouping(f.campaign) = 0 then array[f.campaign] else '{}' end
        || case when grouping(f.network) = 0 then array[f.network] else '{}' end
        || case when grouping(f.retailer) = 0 then array[f.retailer] else '{}' end
        || case when grouping(f.category) = 0 then array[f.category] else '{}' end as keys,
      sum(f.n)::bigint as events, count(distinct f.user_id)::integer as people, f.step >= 8 as is_money
    from facts f
    group by grouping sets (
      (f.step), (f.step, f.source), (f.step, f.device), (f.step, f.campaign), (f.step, f.network),
      (f.step, f.network, f.retailer), (f.step, f.category),
      (f.step, f.source, f.device), (f.step, f.source, f.campaign), (f.step, f.source, f.network),
      (f.step, f.source, f.network, f.retailer), (f.step, f.source, f.category),
      (f.step, f.device, f.campaign), (f.step, f.device, f.network), (f.step, f.device, f.network, f.retailer),
      (f.step, f.device, f.category),
      (f.step, f.campaign, f.network), (f.step, f.campaign, f.network, f.retailer), (f.step, f.campaign, f.category),
      (f.step, f.network, f.category), (f.step, f.network, f.retailer, f.category))
    union all
    select 'recommendations', s.step, concat_ws(',',
        case when grouping(s.context) = 0 then 'context' end, case when grouping(s.model) = 0 then 'model' end,
        case when grouping(s.arm) = 0 then 'arm' end),
      case when grouping(s.context) = 0 then array[s.context] else '{}' end
        || case when grouping(s.model) = 0 then array[s.model] else '{}' end
        || case when grouping(s.arm) = 0 then array[s.arm] else '{}' end,
      sum(s.n)::bigint, count(distinct s.user_id)::integer, false
    from shown s
    group by s.step, cube (s.context, s.model, s.arm)
  ),
  sized as (
    select g.*, g.people < 5 as is_small,
      bool_or(g.people < 5) over siblings as has_small,
      row_number() over (partition by g.report, g.name, g.step, case when g.name = 'network,retailer' then g.keys[1] end, g.people < 5
        order by g.people, g.events, g.keys) = 1 as is_first
    from grouped g
    window siblings as (partition by g.report, g.name, g.step, case when g.name = 'network,retailer' then g.keys[1] end)
  ),
  judged as (  -- money is shown by what the network reports of an order, not by what is known of the click
    select s.*, k.is_network_money, not k.is_network_money and (
      s.name not in ('', 'source', 'device', 'campaign', 'network', 'network,retailer', 'category', 'context', 'model', 'arm')
      or s.is_small or s.name <> '' and s.has_small and s.is_first) as is_withheld
    from sized s cross join lateral (select s.is_money and s.name !~ 'source|device|campaign' as is_network_money) k
  ),
  published as (
    select j.*, case when j.is_withheld or coalesce(n.is_withheld, false) then null when j.is_network_money then j.events
      when p_day < private.first_unpublished_day() then private.rounded_count(j.events) end as public_events
    from judged j
    left join judged n on j.name = 'network,retailer' and n.name = 'network' and n.report = j.report and n.step = j.step
      and n.keys[1] is not distinct from j.keys[1]
  )
  select c.report, c.name, c.keys, array_agg(coalesce(p.events, 0) order by i.step),
    array_agg(coalesce(p.people, 0) order by i.step),
    array_agg(case when p.step is not null then p.public_events
      when p_day < private.first_unpublished_day() or c.report = 'funnel' and i.step >= 8 and c.name !~ 'source|device|campaign' then 0 end
      order by i.step)
  from (select distinct p.report, p.name, p.keys from published p) c
  cross join generate_series(1, 10) i (step)
  left join published p on p.report = c.report and p.name = c.name and p.keys = c.keys and p.step = i.step
  group by c.report, c.name, c.keys
$$;
comment on function private.rollups_of(date) is 'What private.rollups should have of a day (UTC).';

create or replace function private.month_rollups_of(p_month date)
returns table (
  report text, grouping_name text, keys text[], events bigint[], published bigint[], is_suppressed boolean[])
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.report, r.grouping_name, r.keys,
    array[sum(e[1]), sum(e[2]), sum(e[3]), sum(e[4]), sum(e[5]), sum(e[6]), sum(e[7]), sum(e[8]), sum(e[9]), sum(e[10])]::bigint[],
    array[sum(p[1]), sum(p[2]), sum(p[3]), sum(p[4]), sum(p[5]), sum(p[6]), sum(p[7]), sum(p[8]), sum(p[9]), sum(p[10])]::bigint[],
    array[
      bool_or(p[1] is null), bool_or(p[2] is null), bool_or(p[3] is null), bool_or(p[4] is null), bool_or(p[5] is null),
      bool_or(p[6] is null), bool_or(p[7] is null), bool_or(p[8] is null), bool_or(p[9] is null), bool_or(p[10] is null)]
  from private.rollups r cross join lateral (select r.events as e, r.published as p) x
  where r.day >= p_month and r.day < p_month + interval '1 month'
  group by r.report, r.grouping_name, r.keys
$$;
comment on function private.month_rollups_of(date) is 'What private.rollup_months should have of the month that begins then.';

create or replace function private.refresh_rollup_month() returns date
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  found_month date;
begin
  if not pg_try_advisory_xact_lock(hashtext('aclue.refresh_rollups')) then
    return null;
  end if;
  select m.month into found_month
  from generate_series((select date_trunc('month', min(r.day)) from private.rollups r),
    date_trunc('month', now() at time zone 'UTC') - interval '1 month', '1 month') g (at)
  cross join lateral (select g.at::date as month) m
  where not exists (select from private.rollup_months_done d where d.month = m.month)
    and exists (select from private.rollups r where r.day >= m.month and r.day < m.month + interval '1 month')
  order by m.month desc limit 1;
  if found_month is not null then
    delete from private.rollup_months m where m.month = found_month;
    insert into private.rollup_months (report, grouping_name, month, keys, events, published, is_suppressed)
    select s.report, s.grouping_name, found_month, s.keys, s.events, s.published, s.is_suppressed
    from private.month_rollups_of(found_month) s;
    insert into private.rollup_months_done (month) values (found_month);
  end if;
  return found_month;
end
$$;
comment on function private.refresh_rollup_month() is 'Adds up the newest month that needs it, of those that are over; null without one, or if another process is at it.';

create or replace function private.rollup_day_due(p_before date) returns date
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select max(d.day) from private.rollup_days_due d
  where d.due_at <= now() and d.day < coalesce(p_before, 'infinity') and not exists (
    select from private.rollup_days_due p where p.day = d.day and p.is_postponed and p.due_at > now())
$$;
comment on function private.rollup_day_due(date) is 'The newest day before this one (null: of all) that is due and not postponed.';

-- A mark of its own, so that neither those that are there nor those that come let the day be tried before.
create or replace function private.postpone_rollups(p_day date) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.rollup_days_due (day, due_at, is_postponed) values (p_day, now() + interval '1 hour', true)
$$;
comment on function private.postpone_rollups(date) is 'Lets a day that could not be computed wait for an hour, so that others are.';

create or replace function private.refresh_rollups(p_day date) returns date
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not pg_try_advisory_xact_lock(hashtext('aclue.refresh_rollups')) then
    return null;
  end if;
  delete from private.rollup_months_done m where m.month = date_trunc('month', p_day)::date;
  -- What commits from here on has a mark of its own left.
  delete from private.rollup_days_due d where d.day = p_day and d.due_at <= now();
  with fresh as materialized (select * from private.rollups_of(p_day)),
  gone as (
    delete from private.rollups r where r.day = p_day and not exists (
      select from fresh f where f.report = r.report and f.grouping_name = r.grouping_name and f.keys = r.keys)
  )
  insert into private.rollups as r (report, grouping_name, day, keys, events, people, published)
  select f.report, f.grouping_name, p_day, f.keys, f.events, f.people, f.published from fresh f
  on conflict on constraint rollups_pkey do update
  set events = excluded.events, people = excluded.people, published = excluded.published
  where (r.events, r.people, r.published) is distinct from (excluded.events, excluded.people, excluded.published);
  update public.session_analytics v set
    pages = n.pages, last_page = n.last_page, swipes = n.swipes, clicks = n.clicks, converted_at = n.converted_at,
    ended_at = n.ended_at
  from private.visits_of(p_day) n
  where v.user_id = n.user_id and v.id = n.id
    and (v.pages, v.last_page, v.swipes, v.clicks, v.converted_at, v.ended_at)
      is distinct from (n.pages, n.last_page, n.swipes, n.clicks, n.converted_at, n.ended_at);
  insert into private.rollup_days_due (day, due_at)  -- what analysts may see is decided once the day is over
  select p_day, (p_day + 1)::timestamp at time zone 'UTC' + interval '20 minutes'
  where p_day >= private.first_unpublished_day()
    and not exists (select from private.rollup_days_due d where d.day = p_day and d.due_at > now() and not d.is_postponed);
  return p_day;
end
$$;
comment on function private.refresh_rollups(date) is
  'Computes a day and its visits; null if another process is at it.';

create or replace function private.rollups_differ(p_day date) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with fresh as materialized (select * from private.rollups_of(p_day)),
  stored as materialized (
    select r.report, r.grouping_name, r.keys, r.events, r.people, r.published from private.rollups r where r.day = p_day)
  select not exists (  -- that a day will be over is no change of it
    select from private.rollup_days_due d
    where d.day = p_day and (d.due_at < (p_day + 1)::timestamp at time zone 'UTC' or p_day < private.first_unpublished_day())) and (
    exists (select * from fresh except select * from stored) or exists (select * from stored except select * from fresh)
    or exists (
      select from private.visits_of(p_day) n join public.session_analytics v on v.user_id = n.user_id and v.id = n.id
      where (v.pages, v.last_page, v.swipes, v.clicks, v.converted_at, v.ended_at)
        is distinct from (n.pages, n.last_page, n.swipes, n.clicks, n.converted_at, n.ended_at))
    or exists (select from private.rollup_months_done d where d.month = p_day) and (
      exists (
        select * from private.month_rollups_of(p_day)
        except select m.report, m.grouping_name, m.keys, m.events, m.published, m.is_suppressed
          from private.rollup_months m where m.month = p_day)
      or (select count(*) from private.month_rollups_of(p_day))
        <> (select count(*) from private.rollup_months m where m.month = p_day)))
$$;
comment on function private.rollups_differ(date) is
  'Whether the rollups or visits of a day, or the sums of the month that begins then, are not what their rows say, though it is '
  'not due.';

revoke all on function private.uuid_v7_time(uuid), private.source_of(text, boolean, text), private.funnel_facts(date),
  private.rollups_of(date), private.month_rollups_of(date), private.refresh_rollup_month(), private.rollup_day_due(date),
  private.postpone_rollups(date), private.refresh_rollups(date), private.rollups_differ(date)
  from public, anon, authenticated;
grant execute on function private.rollup_day_due(date), private.postpone_rollups(date), private.refresh_rollup_month(),
  private.refresh_rollups(date), private.rollups_differ(date) to service_role;
