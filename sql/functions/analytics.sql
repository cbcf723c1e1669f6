-- Figures for analysts, finance and administrators, who may not read the rows behind them.

create or replace function private.may_read_figures() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(private.app_role() in ('analyst', 'finance', 'admin') or auth.role() = 'service_role', false)
$$;
comment on function private.may_read_figures() is 'Whether the caller may read the funnel, revenue and recommendation performance.';

create or replace function private.may_read_small_counts() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(private.app_role() in ('finance', 'admin') or auth.role() = 'service_role', false)
$$;
comment on function private.may_read_small_counts() is 'Whether the caller may read counts of fewer than 5 people.';

-- Somebody who asks again and again would see what one person does. So counts of behaviour are published once their day is over,
-- and late changes of a few people are lost in rounding.
create or replace function private.first_unpublished_day() returns date
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select (now() at time zone 'UTC')::date
$$;
comment on function private.first_unpublished_day() is 'From this day (UTC) on analysts see no counts of behaviour.';

create or replace function private.start_of_day(p_at timestamptz) returns timestamptz
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select date_trunc('day', p_at, 'UTC')
$$;
comment on function private.start_of_day(timestamptz) is 'The start of the day (UTC) of a timestamp.';

create or replace function private.rounded_count(p_count bigint) returns bigint
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select (p_count + 2) / 5 * 5
$$;
comment on function private.rounded_count(bigint) is 'A count as analysts see it: the nearest multiple of 5.';

create or replace function private.rollup_counts(
  p_report text, p_grouping text, p_since date, p_until date, p_is_daily boolean)
returns table (day date, keys text[], counts bigint[], people integer[], is_suppressed boolean[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  sees_all constant boolean := private.may_read_small_counts();
  none constant boolean[] := array_fill(false, array[10]);
  months date[];
  days date[];
begin
  if not private.may_read_figures() then
    raise insufficient_privilege using message = 'only analysts, finance and administrators may read figures';
  end if;
  -- Two dimensions at once would tell of small groups by subtraction; a shop and its network are one.
  if not sees_all and replace(p_grouping, 'network,retailer', 'retailer') like '%,%' then
    raise insufficient_privilege using message = 'analysts group by one dimension';
  end if;
  if p_is_daily or p_since = p_until then  -- a row of the table is a group
    return query
      select case when p_is_daily then r.day end, r.keys, case when sees_all then r.events else r.published end,
        case when sees_all then r.people
          else array(select case when e is null then null when r.report = 'funnel' and i >= 8 then n else private.rounded_count(n)::integer end
            from unnest(r.people, r.published) with ordinality u (n, e, i) order by i) end,
        case when sees_all then none else array(select e is null from unnest(r.published) e) end
      from private.rollups r
      where r.report = p_report and r.grouping_name = p_grouping and r.day between p_since and p_until
        -- That there is a group at all tells of somebody, too.
        and (sees_all or r.day < private.first_unpublished_day() or exists (select from unnest(r.published) e where e <> 0));
    return;
  end if;
  months := array(
    select d.month from private.rollup_months_done d
    where d.month >= p_since and d.month + interval '1 month' <= p_until + 1);
  days := array(
    select g.at::date from generate_series(p_since::timestamp, p_until::timestamp, '1 day') g (at)
    where date_trunc('month', g.at)::date <> all (months));
  return query
    select null::date, r.keys,
      array[sum(e[1]), sum(e[2]), sum(e[3]), sum(e[4]), sum(e[5]), sum(e[6]), sum(e[7]), sum(e[8]), sum(e[9]), sum(e[10])]::bigint[],
      null::integer[],
      case when sees_all then none else array[
        bool_or(s[1]), bool_or(s[2]), bool_or(s[3]), bool_or(s[4]), bool_or(s[5]), bool_or(s[6]), bool_or(s[7]), bool_or(s[8]),
        bool_or(s[9]), bool_or(s[10])] end
    from (
      select m.keys, case when sees_all then m.events else m.published end as e,
        case when not sees_all then m.is_suppressed end as s
      from private.rollup_months m
      where m.report = p_report and m.grouping_name = p_grouping and m.month = any (months)
      union all
      select r.keys, case when sees_all then r.events else r.published end,
        case when not sees_all then array(select p is null from unnest(r.published) p) end
      from private.rollups r
      where r.report = p_report and r.grouping_name = p_grouping and r.day = any (days)
        and (sees_all or r.day < private.first_unpublished_day() or exists (select from unnest(r.published) e where e <> 0))
    ) r
    group by r.keys;
end
$$;
comment on function private.rollup_counts(text, text, date, date, boolean) is
  'The counts of a report by group, and by day if wanted. Null where nothing may be shown, is_suppressed where something was left '
  'out; people are given of single days.';

-- The figures are balances of the accounts, which conversions has as they are now: domain/ledger/booking.py. Of other times, and
-- in the reporting currency, which rounds each posting, the postings are added up. In the reporting currency a figure is null
-- where a rate is missing. Clicks are not a matter of currencies.
create or replace function private.revenue(
  p_by text[], p_since date, p_until date, p_as_of timestamptz, p_known_at timestamptz, p_reporting text)
returns table (
  day date, source text, device text, campaign text, network text, retailer_id uuid, category_id uuid, currency text,
  orders bigint, figures bigint[], reported bigint[])
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan  -- planned for these days and dimensions
as $$
declare
  is_now constant boolean := p_as_of is null and p_known_at is null;
begin
  if not private.may_read_figures() then
    raise insufficient_privilege using message = 'only analysts, finance and administrators may read figures';
  end if;
  -- What is known of the click behind an order is the person's.
  if p_by && array['source', 'device', 'campaign'] and not private.may_read_small_counts() then
    raise insufficient_privilege using message = 'analysts group revenue by day, network, retailer and category';
  end if;
  return query
  with sales as materialized (
    select c.id, c.currency::text as currency, case when c.click_id is not null then c.tracked_minor else 0 end as tracked,
      c.expected_minor as expected, c.pending_minor as pending, c.approved_minor as approved, c.declined_minor as declined,
      c.reversed_minor as reversed, c.paid_minor as paid, c.clawback_minor as clawback,
      case when 'day' = any (p_by) then (c.ordered_at at time zone 'UTC')::date end as day,
      case when 'source' = any (p_by) then private.source_of(m.recommendation_context, m.has_gift_link, m.source_page) end as source,
      case when 'device' = any (p_by) then m.device_class end as device,
      case when 'campaign' = any (p_by) then m.campaign end as campaign,
      case when 'network' = any (p_by) or 'retailer' = any (p_by) then c.affiliate_network end as network,
      case when 'retailer' = any (p_by) then c.retailer_id end as retailer_id,
      case when 'category' = any (p_by) then p.category_id end as category_id,
      case when p_reporting = c.currency then 1 else x.rate * power(10::numeric, t.exponent - f.exponent) end as factor
    from public.conversions c
    join public.currencies f on f.code = c.currency
    join public.currencies t on t.code = p_reporting
    left join public.conversion_clicks m on m.affiliate_network = c.affiliate_network and m.reference = c.reference
    left join public.product_offers sold on sold.id = m.offer_id  -- as private.funnel_facts()
    left join public.product_offers named on named.id = c.product_id
    left join public.products p on p.id = coalesce(sold.product_id, named.product_id)
    left join lateral (  -- as private.reported_entries()
      select r.rate from public.exchange_rates r
      where c.currency <> p_reporting and r.currency = c.currency and r.reporting_currency = p_reporting
        and r.rate_on <= (c.ordered_at at time zone 'UTC')::date and r.recorded_at <= coalesce(p_known_at, 'infinity')
      order by r.rate_on desc, r.recorded_at desc limit 1) x on true
    where c.ordered_at >= p_since::timestamp at time zone 'UTC'
      and c.ordered_at < (p_until + 1)::timestamp at time zone 'UTC'
      and c.ordered_at <= coalesce(p_as_of, 'infinity') and c.created_at <= coalesce(p_known_at, 'infinity')
  ),
  parts as (  -- a row per group: orders and their figures, and what their postings add to them
    select s.day, s.source, s.device, s.campaign, s.network, s.retailer_id, s.category_id, s.currency, count(*) as orders, bool_and(s.factor is not null) as is_rated,
      case when is_now
        then array[sum(s.expected), sum(s.tracked), sum(s.pending), sum(s.approved), sum(s.declined), sum(s.reversed), sum(s.paid),
          sum(s.clawback)]
        else array[0, sum(s.tracked), 0, 0, 0, 0, 0, 0] end as own,
      case when is_now and s.currency = p_reporting
        then array[sum(s.expected), sum(s.tracked), sum(s.pending), sum(s.approved), sum(s.declined), sum(s.reversed), sum(s.paid),
          sum(s.clawback)]
        else array[0, sum(round(s.tracked * s.factor)), 0, 0, 0, 0, 0, 0] end as reported
    from sales s
    group by s.day, s.source, s.device, s.campaign, s.network, s.retailer_id, s.category_id, s.currency
    union all
    select s.day, s.source, s.device, s.campaign, s.network, s.retailer_id, s.category_id, s.currency, 0, true,
      case when is_now then array[0, 0, 0, 0, 0, 0, 0, 0] else array[sum(e.amount_minor) filter (where e.account = 'expected'), 0,
        sum(e.amount_minor) filter (where e.account = 'tracked'),
        sum(e.amount_minor) filter (where e.account = 'approved'),
        sum(e.amount_minor) filter (where e.account = 'declined'),
        sum(e.amount_minor) filter (where e.account = 'reversed'),
        sum(e.amount_minor) filter (where e.account = 'receivable'),
        sum(e.amount_minor) filter (where e.account = 'clawed_back')] end,
      array[sum(round(e.amount_minor * s.factor)) filter (where e.account = 'expected'), 0,
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'tracked'),
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'approved'),
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'declined'),
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'reversed'),
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'receivable'),
        sum(round(e.amount_minor * s.factor)) filter (where e.account = 'clawed_back')]
    from sales s
    join public.ledger_entries e on e.conversion_id = s.id
      and e.event_at <= coalesce(p_as_of, 'infinity') and e.recorded_at <= coalesce(p_known_at, 'infinity')
    where not is_now or s.currency <> p_reporting
    group by s.day, s.source, s.device, s.campaign, s.network, s.retailer_id, s.category_id, s.currency
  )
  select a.day, a.source, a.device, a.campaign, a.network, a.retailer_id, a.category_id, a.currency, sum(a.orders)::bigint,
    array[coalesce(sum(a.own[1]), 0), coalesce(sum(a.own[2]), 0), coalesce(sum(a.own[3]), 0),
      coalesce(sum(a.own[4]), 0), coalesce(sum(a.own[5]), 0), coalesce(sum(a.own[6]), 0),
      coalesce(sum(a.own[7]), 0), coalesce(sum(a.own[8]), 0)]::bigint[],
    case when bool_and(a.is_rated) then array[coalesce(sum(a.reported[1]), 0), coalesce(sum(a.reported[2]), 0), coalesce(sum(a.reported[3]), 0),
      coalesce(sum(a.reported[4]), 0), coalesce(sum(a.reported[5]), 0), coalesce(sum(a.reported[6]), 0),
      coalesce(sum(a.reported[7]), 0), coalesce(sum(a.reported[8]), 0)]::bigint[] end
  from parts a
  group by a.day, a.source, a.device, a.campaign, a.network, a.retailer_id, a.category_id, a.currency;
end
$$;
comment on function private.revenue(text[], date, date, timestamptz, timestamptz, text) is
  'Orders and figures in minor units (expected, tracked, pending, approved, declined, reversed, paid, clawback) of orders of these '
  'days (UTC), by group and currency, as of a time and as known at a time; reported: in the reporting currency, at the rates known then.';

revoke all on function private.may_read_figures(), private.may_read_small_counts(), private.first_unpublished_day(),
  private.start_of_day(timestamptz), private.rounded_count(bigint),
  private.rollup_counts(text, text, date, date, boolean),
  private.revenue(text[], date, date, timestamptz, timestamptz, text) from public, anon, authenticated;
grant execute on function private.may_read_figures(), private.may_read_small_counts(),
  private.rollup_counts(text, text, date, date, boolean),
  private.revenue(text[], date, date, timestamptz, timestamptz, text) to authenticated, service_role;
