-- The ledger, as service_role: reports come in, conversions and postings follow. One transaction per import, serialised
-- by ledger.lock, because what a payment pays for depends on many conversions.

-- name: lock()
select pg_advisory_xact_lock(hashtextextended('aclue ledger', 0))

-- name: lock_people(people)
-- Those of these people who are there, in the order in which private.merge_session() locks them, too.
select id from public.profiles where id = any (:people::uuid[]) order by id for key share

-- name: unknown_networks(codes)
select c.code from unnest(:codes::text[]) c (code)
where not exists (select from public.affiliate_networks n where n.code = c.code)

-- name: add_reports(reports, source, origin)
-- Repeats are left alone; returns the conversions of those that are new. What is personal is not kept of a conversion whose
-- click was erased with its person: it is known by a click that is gone, or else by the tokens of ours that came back
-- (clicks), none of which leads to a click any more. Nor is the time of such a click, which could be another person's, too.
insert into public.conversion_reports (
  affiliate_network, reference, identity, kind, state, advertiser_id, currency, amount_minor, sale_minor, stated_at,
  ordered_at, clicked_at, tracking_id, order_id, facts, click_refs, raw, source, origin)
select r.affiliate_network, r.reference, r.identity, r.kind, r.state, r.advertiser_id, r.currency, r.amount_minor,
  r.sale_minor, r.stated_at, r.ordered_at, case when not gone.is_unmatched then r.clicked_at end, r.tracking_id, r.order_id,
  r.facts, case when not gone.is_so then r.click_refs end, case when not gone.is_so then r.raw end, :source::text,
  :origin::text
from jsonb_to_recordset(:reports::jsonb) r (
  affiliate_network text, reference text, identity text, kind text, state text, advertiser_id text, currency text,
  amount_minor bigint, sale_minor bigint, stated_at timestamptz, ordered_at timestamptz, clicked_at timestamptz,
  tracking_id text, order_id text, facts jsonb, click_refs text[], raw jsonb, clicks uuid[])
left join public.conversion_clicks k using (affiliate_network, reference)
cross join lateral (
  select exists (select from public.affiliate_clicks c where c.id = k.click_id) as matched,
    not exists (select from public.affiliate_clicks c where c.id = any (r.clicks)) and (
      cardinality(r.clicks) > 0 or exists (  -- an earlier report said so
        select from public.conversion_reports p
        where p.affiliate_network = r.affiliate_network and p.reference = r.reference and p.raw is null)) as lost) is_
cross join lateral (
  select k.click_id is null and is_.lost as is_unmatched,
    case when k.click_id is null then is_.lost else not is_.matched end as is_so) gone
on conflict (affiliate_network, reference, identity) do nothing
returning affiliate_network, reference

-- name: reports(networks, conversions)
-- Of these conversions (two arrays of equal length), without what is not needed to derive their states.
select r.affiliate_network, r.reference, r.identity, r.kind, r.state, r.advertiser_id, r.currency::text, r.amount_minor,
  r.sale_minor, r.stated_at, r.ordered_at, r.clicked_at, r.tracking_id, r.facts::text as facts, r.click_refs
from unnest(:networks::text[], :conversions::text[]) k (affiliate_network, reference)
join public.conversion_reports r using (affiliate_network, reference)

-- name: conversions_of_reports()
select affiliate_network, reference from public.conversion_reports group by affiliate_network, reference

-- name: groups_of_payments()
select affiliate_network, advertiser_id, currency::text, id from public.payments

-- name: conversions_of_advertiser(affiliate_network, advertiser_id)
select affiliate_network, reference from public.conversion_reports
where affiliate_network = :affiliate_network::text and advertiser_id = :advertiser_id::text
group by affiliate_network, reference

-- name: settled_ranges(networks, conversions)
-- The days on which something of these conversions was approved, as they are stored.
select c.affiliate_network, c.reference, c.advertiser_id, c.currency::text, c.approved_from, c.approved_until
from unnest(:networks::text[], :conversions::text[]) k (affiliate_network, reference)
join public.conversions c using (affiliate_network, reference)
where c.approved_from is not null

-- name: payments_of(affiliate_network, advertiser_id, currency)
-- With what was due when a person accepted one that was something else.
select p.id, p.reference, p.period_start, p.period_end, p.paid_on, p.amount_minor, array(
    select d.due_minor from public.exceptions x join public.ledger_decisions d on d.id = x.decision_id
    where x.payment_id = p.id and d.kind = 'accept') as accepted_minor
from public.payments p
where affiliate_network = :affiliate_network::text and advertiser_id = :advertiser_id::text
  and currency = :currency::text

-- name: conversions_approved(affiliate_network, advertiser_id, currency, first_day, last_day)
select reference from public.conversions
where affiliate_network = :affiliate_network::text and advertiser_id = :advertiser_id::text
  and currency = :currency::text and approved_from <= :last_day::date and approved_until >= :first_day::date

-- name: clicks_of(networks, conversions)
-- The clicks that are known of these conversions; of whom, while the click is there.
select k.affiliate_network, k.reference, k.click_id, c.user_id, k.retailer_id, k.product_id, k.commission_rate,
  k.commission_flat_minor, k.commission_cap_minor, k.currency::text, k.clicked_at, k.matched_by,
  k.followed_at, k.click_window_hours
from unnest(:networks::text[], :conversions::text[]) a (affiliate_network, reference)
join public.conversion_clicks k using (affiliate_network, reference)
left join public.affiliate_clicks c on c.id = k.click_id

-- name: match_by_click(networks, conversions, clicks, times)
-- The last of these clicks that was made or followed within the shop's window before the order (times), else the last one
-- before it, else the first: whichever report came first. Also in place of a match by time. A match that a person made stays,
-- and so does one whose click was erased.
with named as (
  select distinct on (a.affiliate_network, a.reference) a.affiliate_network, a.reference, a.click_id
  from unnest(:networks::text[], :conversions::text[], :clicks::uuid[], :times::timestamptz[]) with ordinality
    a (affiliate_network, reference, click_id, ordered_at, place)
  join public.affiliate_clicks c on c.id = a.click_id
  cross join lateral (
    select f.at, f.at <= a.ordered_at as is_before,
      a.ordered_at - f.at <= coalesce(private.click_window_hours(c.retailer_id), 720) * interval '1 hour' as is_within
    from (select private.last_followed(c.id, a.ordered_at) as at) f) f
  order by a.affiliate_network, a.reference, f.is_before and f.is_within desc, f.is_before desc,
    case when f.is_before then f.at end desc, a.place
)
select private.match_conversion(n.affiliate_network, n.reference, n.click_id, 'click_id')
from named n
left join public.conversion_clicks k using (affiliate_network, reference)
where k.click_id is null or ((k.click_id <> n.click_id or k.matched_by = 'click_time') and k.matched_by <> 'manual'
  and exists (select from public.affiliate_clicks c where c.id = k.click_id))

-- name: match_by_time(networks, conversions, advertisers, currencies, times)
-- The click at the advertiser's shop that was made or followed within seconds of a time that the network names: the last
-- one of a person. With clicks of two people, or none, there is no match. Of several reports the earliest time that leads to
-- a click counts, whichever came first: also in place of the match of a later time, unless that click was erased.
select private.match_conversion(f.affiliate_network, f.reference, f.click_id, 'click_time')
from (
select distinct on (a.affiliate_network, a.reference) a.affiliate_network, a.reference, found.id as click_id
from unnest(:networks::text[], :conversions::text[], :advertisers::text[], :currencies::text[], :times::timestamptz[])
  a (affiliate_network, reference, advertiser_id, currency, clicked_at)
cross join lateral (
  select v.retailer_id, private.click_window_hours(v.retailer_id) as window_hours from public.advertisers v
  where v.affiliate_network = a.affiliate_network and v.advertiser_id = a.advertiser_id
    and (v.currency is null or v.currency = a.currency)
  order by v.currency nulls last limit 1) shop
cross join lateral (
  select (array_agg(near.id order by near.at desc, near.id desc))[1] as id from (
    select c.id, c.user_id, c.click_timestamp as at from public.affiliate_clicks c
    where c.retailer_id = shop.retailer_id
      and c.click_timestamp between a.clicked_at - interval '5 seconds' and a.clicked_at + interval '2 seconds'
    union all
    select c.id, c.user_id, h.redirected_at from public.affiliate_clicks c
    join public.affiliate_redirects h on h.user_id = c.user_id and h.click_id in (c.id, c.substitute_of)
      and coalesce(h.led_to_click_id, h.click_id) = c.id
    where c.retailer_id = shop.retailer_id and c.click_timestamp <= a.clicked_at
      and c.click_timestamp > a.clicked_at - shop.window_hours * interval '1 hour'
      and h.redirected_at between a.clicked_at - interval '5 seconds' and a.clicked_at + interval '2 seconds'
  ) near
  having count(distinct near.user_id) = 1) found
order by a.affiliate_network, a.reference, a.clicked_at, a.advertiser_id, a.currency
) f
left join public.conversion_clicks k using (affiliate_network, reference)
where k.click_id is null or (k.click_id <> f.click_id and k.matched_by = 'click_time'
  and exists (select from public.affiliate_clicks c where c.id = k.click_id))

-- name: refresh_matches(networks, conversions, times)
-- When each click was last followed before the order (times). What was known stays unless the order is earlier by now: the hits
-- that said it may have been purged.
update public.conversion_clicks k set followed_at = f.at
from unnest(:networks::text[], :conversions::text[], :times::timestamptz[]) a (affiliate_network, reference, ordered_at)
join public.conversion_clicks m using (affiliate_network, reference)
cross join lateral (
  select greatest(
    private.last_followed(m.click_id, a.ordered_at), case when m.followed_at <= a.ordered_at then m.followed_at end) as at) f
where k.affiliate_network = m.affiliate_network and k.reference = m.reference
  and f.at is not null and f.at is distinct from k.followed_at

-- name: shops_of(networks, advertisers, currencies)
-- The shop that each advertiser is known to be.
select a.affiliate_network, a.advertiser_id, a.currency, v.retailer_id
from unnest(:networks::text[], :advertisers::text[], :currencies::text[]) a (affiliate_network, advertiser_id, currency)
cross join lateral (
  select v.retailer_id from public.advertisers v
  where v.affiliate_network = a.affiliate_network and v.advertiser_id = a.advertiser_id
    and (v.currency is null or v.currency = a.currency)
  order by v.currency nulls last limit 1) v

-- name: write_conversions(conversions)
-- Rows that are the same are not written.
insert into public.conversions as c (
  id, affiliate_network, reference, advertiser_id, tracking_id, matched_by, click_id, user_id, retailer_id, product_id, status,
  currency, sale_minor, tracked_minor, expected_minor, pending_minor, approved_minor, declined_minor, reversed_minor,
  paid_minor, clawback_minor, variance_minor, ordered_at, clicked_at, is_outside_window, approved_at, approved_from,
  approved_until)
select r.id, r.affiliate_network, r.reference, r.advertiser_id, r.tracking_id, r.matched_by, r.click_id, r.user_id, r.retailer_id,
  r.product_id, r.status, r.currency, r.sale_minor, r.tracked_minor, r.expected_minor, r.pending_minor, r.approved_minor,
  r.declined_minor, r.reversed_minor, r.paid_minor, r.clawback_minor, r.variance_minor, r.ordered_at, r.clicked_at,
  r.is_outside_window, r.approved_at, r.approved_from, r.approved_until
from jsonb_populate_recordset(null::public.conversions, :conversions::jsonb) r
on conflict (id) do update set
  advertiser_id = excluded.advertiser_id, tracking_id = excluded.tracking_id, matched_by = excluded.matched_by,
  click_id = excluded.click_id,
  user_id = excluded.user_id, retailer_id = excluded.retailer_id, product_id = excluded.product_id,
  status = excluded.status, currency = excluded.currency, sale_minor = excluded.sale_minor,
  tracked_minor = excluded.tracked_minor, expected_minor = excluded.expected_minor,
  pending_minor = excluded.pending_minor, approved_minor = excluded.approved_minor,
  declined_minor = excluded.declined_minor, reversed_minor = excluded.reversed_minor, paid_minor = excluded.paid_minor,
  clawback_minor = excluded.clawback_minor, variance_minor = excluded.variance_minor, ordered_at = excluded.ordered_at,
  clicked_at = excluded.clicked_at, is_outside_window = excluded.is_outside_window,
  approved_at = excluded.approved_at, approved_from = excluded.approved_from, approved_until = excluded.approved_until
where (c.advertiser_id, c.tracking_id, c.matched_by, c.click_id, c.user_id, c.retailer_id, c.product_id, c.status, c.currency,
    c.sale_minor, c.tracked_minor, c.expected_minor, c.pending_minor, c.approved_minor, c.declined_minor,
    c.reversed_minor, c.paid_minor, c.clawback_minor, c.variance_minor, c.ordered_at, c.clicked_at,
    c.is_outside_window, c.approved_at, c.approved_from, c.approved_until)
  is distinct from (excluded.advertiser_id, excluded.tracking_id, excluded.matched_by, excluded.click_id, excluded.user_id,
    excluded.retailer_id, excluded.product_id, excluded.status, excluded.currency, excluded.sale_minor,
    excluded.tracked_minor, excluded.expected_minor, excluded.pending_minor, excluded.approved_minor,
    excluded.declined_minor, excluded.reversed_minor, excluded.paid_minor, excluded.clawback_minor,
    excluded.variance_minor, excluded.ordered_at, excluded.clicked_at, excluded.is_outside_window,
    excluded.approved_at, excluded.approved_from, excluded.approved_until)
returning id

-- name: post(desired, conversions, payments)
-- Adds what is missing from the postings of these subjects until they are as desired (a JSON array of subject, account,
-- amount, currency, time). What is added at one time of one subject is a transaction.
with desired as (
  select d.conversion_id, d.payment_id, d.account, d.currency, d.event_at, sum(d.amount_minor)::bigint as amount_minor
  from jsonb_to_recordset(:desired::jsonb) d (
    conversion_id uuid, payment_id uuid, account text, amount_minor bigint, currency text, event_at timestamptz)
  group by 1, 2, 3, 4, 5
),
posted as (
  select e.conversion_id, e.payment_id, e.account, e.currency::text, e.event_at, sum(e.amount_minor)::bigint as amount_minor
  from public.ledger_entries e
  where e.conversion_id = any (:conversions::uuid[]) or e.payment_id = any (:payments::uuid[])
  group by 1, 2, 3, 4, 5
),
missing as materialized (
  select conversion_id, payment_id, account, currency, event_at, sum(amount_minor)::bigint as amount_minor,
    private.uuid_v7() as fresh_id
  from (select * from desired
    union all select conversion_id, payment_id, account, currency, event_at, -amount_minor from posted) both_sides
  group by 1, 2, 3, 4, 5
  having sum(amount_minor) <> 0
)
insert into public.ledger_entries (transaction_id, conversion_id, payment_id, account, amount_minor, currency, event_at)
select first_value(m.fresh_id) over (partition by m.conversion_id, m.payment_id, m.event_at order by m.fresh_id),
  m.conversion_id, m.payment_id, m.account, m.amount_minor, m.currency, m.event_at
from missing m
order by m.event_at, m.amount_minor desc

-- name: check_balances()
-- Now, and not at commit, which has less time.
select private.check_balances()

-- name: write_settlements(settlements)
insert into public.settlements as s (payment_id, due_minor, conversions, meets, is_accepted)
select r.payment_id, r.due_minor, r.conversions, r.meets, r.is_accepted
from jsonb_to_recordset(:settlements::jsonb) r (
  payment_id uuid, due_minor bigint, conversions integer, meets boolean, is_accepted boolean)
on conflict (payment_id) do update
set due_minor = excluded.due_minor, conversions = excluded.conversions, meets = excluded.meets,
  is_accepted = excluded.is_accepted
where (s.due_minor, s.conversions, s.meets, s.is_accepted)
  is distinct from (excluded.due_minor, excluded.conversions, excluded.meets, excluded.is_accepted)

-- name: write_exceptions(exceptions, conversions, payments)
-- Of these subjects exactly these exceptions are open, but for those that a person declined.
with holding as (
  select r.* from jsonb_to_recordset(:exceptions::jsonb) r (
    id uuid, kind text, conversion_id uuid, payment_id uuid, detail text, concerns_on date)
),
closed as (
  update public.exceptions x set closed_at = now()
  where x.closed_at is null and (x.conversion_id = any (:conversions::uuid[]) or x.payment_id = any (:payments::uuid[]))
    and not exists (select from holding h where h.id = x.id)
)
insert into public.exceptions as x (id, kind, conversion_id, payment_id, detail, concerns_on)
select h.id, h.kind, h.conversion_id, h.payment_id, h.detail, h.concerns_on from holding h
on conflict (id) do update set closed_at = null, opened_at = now()
where x.closed_at is not null
  and not exists (select from public.ledger_decisions d where d.id = x.decision_id and d.kind = 'decline')

-- name: add_payments(payments, origin)
insert into public.payments (
  affiliate_network, reference, advertiser_id, advertiser, period_start, period_end, currency, amount_minor, paid_on,
  origin)
select r.affiliate_network, r.reference, r.advertiser_id, r.advertiser, r.period_start, r.period_end, r.currency,
  r.amount_minor, r.paid_on, :origin::text
from jsonb_to_recordset(:payments::jsonb) r (
  affiliate_network text, reference text, advertiser_id text, advertiser text, period_start date, period_end date,
  currency text, amount_minor bigint, paid_on date)
on conflict (reference) do nothing
returning id, affiliate_network, advertiser_id, currency::text, period_start, period_end, paid_on, amount_minor

-- name: payments_that_differ(payments)
-- Which of these payments, by their place from 0, are known with other values.
select r.place
from jsonb_to_recordset(:payments::jsonb) r (
  place integer,
  affiliate_network text, reference text, advertiser_id text, period_start date, period_end date, currency text,
  amount_minor bigint, paid_on date)
join public.payments p on p.reference = r.reference
where (p.affiliate_network, p.advertiser_id, p.period_start, p.period_end, p.currency::text, p.amount_minor, p.paid_on)
  is distinct from (r.affiliate_network, r.advertiser_id, r.period_start, r.period_end, r.currency, r.amount_minor, r.paid_on)

-- name: reconciliation(month)
select * from private.reconciliation(:month::date)

-- name: open_questions(month)
select * from private.open_questions(:month::date)

-- name: fingerprint()
select md5(concat_ws('|',
  (select string_agg((to_jsonb(c) - 'created_at' - 'updated_at' - 'is_held')::text, ',' order by c.id) from public.conversions c),
  (select string_agg(format('%s %s %s %s %s', e.subject, e.account, e.currency, e.event_at, e.total), ','
      order by e.subject, e.account, e.currency, e.event_at)
   from (select coalesce(conversion_id, payment_id) as subject, account, currency, event_at, sum(amount_minor) as total
     from public.ledger_entries group by 1, 2, 3, 4 having sum(amount_minor) <> 0) e),
  (select string_agg(format('%s %s %s %s %s', s.payment_id, s.due_minor, s.conversions, s.meets, s.is_accepted), ','
      order by s.payment_id)
   from public.settlements s),
  (select string_agg(x.id::text, ',' order by x.id) from public.exceptions x where x.closed_at is null)))

-- name: add_rates(days, currencies, reporting_currency, rates, sources)
insert into public.exchange_rates (rate_on, currency, reporting_currency, rate, source)
select r.rate_on, r.currency, :reporting_currency::text, r.rate, r.source
from unnest(:days::date[], :currencies::text[], :rates::numeric[], :sources::text[]) r (rate_on, currency, rate, source)
on conflict do nothing
returning id

-- name: rates_that_differ(days, currencies, reporting_currency, rates, sources)
select r.rate_on, r.currency, r.source
from unnest(:days::date[], :currencies::text[], :rates::numeric[], :sources::text[]) r (rate_on, currency, rate, source)
join public.exchange_rates x on x.rate_on = r.rate_on and x.currency = r.currency
  and x.reporting_currency = :reporting_currency::text and x.source = r.source
where x.rate <> r.rate::numeric(20, 10)

-- name: reported(currency, month)
select * from private.reported_sums(:currency::text, :month::date)

-- name: balances(by, as_of, known_at, reporting_currency, most)
select * from private.ledger_balances(
  :by::text[], :as_of::timestamptz, :known_at::timestamptz, :reporting_currency::text, :most::integer)

-- name: set_advertiser(network, advertiser_id, currency, shop)
-- No row if there is no such shop.
insert into public.advertisers (affiliate_network, advertiser_id, currency, retailer_id)
select :network::text, :advertiser_id::text, :currency::text, r.id from public.retailers r where r.slug = :shop::text
on conflict (affiliate_network, advertiser_id, currency) do update set retailer_id = excluded.retailer_id
returning id
