-- Postings in the reporting currency.

drop function if exists private.reported_entries(text);  -- of an earlier release
create or replace function private.reported_entries(p_currency text, p_known_at timestamptz default null)
returns table (
  transaction_id uuid, conversion_id uuid, payment_id uuid, account text, amount_minor bigint, network_minor bigint,
  network_currency text, rate numeric, rate_on date, rate_source text, event_at timestamptz, recorded_at timestamptz)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with valued as (
    select e.transaction_id, e.conversion_id, e.payment_id, e.account, e.amount_minor as network_minor,
      e.currency::text as network_currency, x.rate, x.rate_on, x.source as rate_source, e.event_at, e.recorded_at,
      round(e.amount_minor * x.rate * power(10::numeric, t.exponent - f.exponent))::bigint as amount_minor
    from public.ledger_entries e
    join public.currencies f on f.code = e.currency
    join public.currencies t on t.code = p_currency
    left join public.conversions c on c.id = e.conversion_id
    cross join lateral (select (coalesce(c.ordered_at, e.event_at) at time zone 'UTC')::date as day) d
    left join lateral (
      select r.rate, r.rate_on, r.source from (
        select 1::numeric as rate, d.day as rate_on, 'the same currency' as source,
          e.event_at as recorded_at
        where e.currency = p_currency
        union all
        select r.rate, r.rate_on, r.source, r.recorded_at from public.exchange_rates r
        where e.currency <> p_currency and r.currency = e.currency and r.reporting_currency = p_currency
          and r.rate_on <= d.day and (p_known_at is null or r.recorded_at <= p_known_at)
      ) r
      order by r.rate_on desc, r.recorded_at desc limit 1) x on true
  )
  select v.transaction_id, v.conversion_id, v.payment_id, v.account, v.amount_minor, v.network_minor, v.network_currency,
    v.rate, v.rate_on, v.rate_source, v.event_at, v.recorded_at from valued v
  union all
  select v.transaction_id, v.conversion_id, v.payment_id, 'rounding', -sum(v.amount_minor)::bigint, 0, v.network_currency,
    v.rate, v.rate_on, v.rate_source, v.event_at, v.recorded_at
  from valued v
  group by v.transaction_id, v.conversion_id, v.payment_id, v.network_currency, v.rate, v.rate_on, v.rate_source,
    v.event_at, v.recorded_at
  having sum(v.amount_minor) <> 0
$$;
comment on function private.reported_entries(text, timestamptz) is
  'The postings in a reporting currency, at the newest rate that is not later than the order, or the payment, and was known at a '
  'time; amount_minor is null without one. All postings of a sale have one rate, so that nothing is left on an account that the sale has left. '
  'What rounding leaves of a transaction is posted to an account of its own.';

revoke all on function private.reported_entries(text, timestamptz) from public, anon, authenticated;
grant execute on function private.reported_entries(text, timestamptz) to service_role;
