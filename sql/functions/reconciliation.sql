-- Sums of the ledger, also for analysts, who may not read its postings, payments and exceptions.

create or replace function private.require_money_reader() returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not coalesce(private.app_role() in ('analyst', 'finance', 'admin') or auth.role() = 'service_role', false) then
    raise insufficient_privilege using message = 'only analysts, finance and administrators may read sums of money';
  end if;
end
$$;

create or replace function private.reconciliation(p_month date)
returns table (
  network text, retailer text, month text, currency text, expected bigint, tracked bigint, pending bigint,
  approved bigint, declined bigint, reversed bigint, paid bigint, clawback bigint, variance bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_money_reader();
  return query
    select c.affiliate_network, r.slug::text, to_char(c.ordered_at at time zone 'UTC', 'YYYY-MM'), c.currency::text,
      coalesce(sum(c.expected_minor), 0)::bigint,
      coalesce(sum(c.tracked_minor) filter (where c.click_id is not null), 0)::bigint,
      sum(c.pending_minor)::bigint, sum(c.approved_minor)::bigint, sum(c.declined_minor)::bigint,
      sum(c.reversed_minor)::bigint, sum(c.paid_minor)::bigint, sum(c.clawback_minor)::bigint,
      sum(c.variance_minor)::bigint
    from public.conversions c left join public.retailers r on r.id = c.retailer_id
    where p_month is null or (c.ordered_at >= p_month::timestamp at time zone 'UTC'
      and c.ordered_at < (p_month + interval '1 month') at time zone 'UTC')
    group by 1, 2, 3, 4
    order by 1, 2 nulls last, 3, 4;
end
$$;
comment on function private.reconciliation(date) is
  'By network, shop, month of the order (UTC) and currency; of one month, or of all (null).';

create or replace function private.open_questions(p_month date) returns table (exceptions bigint, unmatched bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_money_reader();
  return query
    select
      (select count(*) from public.exceptions x
       where x.closed_at is null
         and (p_month is null or x.concerns_on >= p_month and x.concerns_on < (p_month + interval '1 month')::date)),
      (select count(*) from public.conversions c
       where c.click_id is null and c.matched_by is null
         and not (c.tracking_id is not null and private.is_placement(c.affiliate_network, c.tracking_id))
         and (p_month is null or (c.ordered_at >= p_month::timestamp at time zone 'UTC'
           and c.ordered_at < (p_month + interval '1 month') at time zone 'UTC')));
end
$$;
comment on function private.open_questions(date) is
  'How many exceptions are open, and how many conversions came from no click of ours, nor from a placement or shop.';

create or replace function private.reported_sums(p_currency text, p_month date)
returns table (account text, amount_minor bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_money_reader();
  return query
    select e.account, case when bool_and(e.amount_minor is not null) then sum(e.amount_minor)::bigint end
    from private.reported_entries(p_currency) e
    join public.conversions c on c.id = e.conversion_id
    where p_month is null or (c.ordered_at >= p_month::timestamp at time zone 'UTC'
      and c.ordered_at < (p_month + interval '1 month') at time zone 'UTC')
    group by e.account;
end
$$;
comment on function private.reported_sums(text, date) is
  'The sums of accounts in a reporting currency, of conversions of a month or of all; null where a rate is missing.';

-- A payment has the shop that its advertiser is, and the month in which it was paid.
create or replace function private.ledger_balances(
  p_by text[], p_as_of timestamptz, p_known_at timestamptz, p_reporting_currency text, p_most integer)
returns table (
  account text, currency text, network text, retailer_id uuid, month text, amount_minor bigint, reporting_minor bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.require_money_reader();
  return query
    select e.account, e.network_currency,
      case when 'network' = any (p_by) then coalesce(c.affiliate_network, p.affiliate_network) end,
      case when 'retailer' = any (p_by) then coalesce(c.retailer_id, v.retailer_id) end,
      case when 'month' = any (p_by)
        then to_char(coalesce(c.ordered_at at time zone 'UTC', p.paid_on::timestamp), 'YYYY-MM') end,
      sum(e.network_minor)::bigint,
      case when bool_and(e.amount_minor is not null) then sum(e.amount_minor)::bigint end
    from private.reported_entries(p_reporting_currency, p_known_at) e
    left join public.conversions c on c.id = e.conversion_id
    left join public.payments p on p.id = e.payment_id
    left join lateral (
      select a.retailer_id from public.advertisers a
      where a.affiliate_network = p.affiliate_network and a.advertiser_id = p.advertiser_id
        and (a.currency is null or a.currency = p.currency)
      order by a.currency nulls last limit 1) v on true
    where (p_as_of is null or e.event_at <= p_as_of) and (p_known_at is null or e.recorded_at <= p_known_at)
    group by 1, 2, 3, 4, 5
    having sum(e.network_minor) <> 0 or sum(e.amount_minor) <> 0
    order by 2, 1, 3, 4, 5
    limit p_most;
end
$$;
comment on function private.ledger_balances(text[], timestamptz, timestamptz, text, integer) is
  'Balances by account and currency, and by what p_by names (network, retailer, month), of what had happened at a time, as it was '
  'known at a time. The reporting amount is null where a rate is missing, or was not known.';

revoke all on function private.require_money_reader(), private.reconciliation(date), private.open_questions(date),
  private.reported_sums(text, date), private.ledger_balances(text[], timestamptz, timestamptz, text, integer)
  from public, anon, authenticated;
grant execute on function private.reconciliation(date), private.open_questions(date),
  private.reported_sums(text, date), private.ledger_balances(text[], timestamptz, timestamptz, text, integer)
  to authenticated, service_role;
