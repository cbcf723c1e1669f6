-- The ledger's own guards: facts are only added, and transactions balance. The triggers fire for every role, the owner
-- and replication included ("enable always"); `aclue verify` fails where one is missing or disabled.

create or replace function private.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise insufficient_privilege using message = pg_catalog.format('rows of %I.%I are only added', tg_table_schema, tg_table_name),
    hint = 'A correction is another row.';
end
$$;

-- One change of a report is let through: emptying what is personal in it, once its click is gone with its person.
create or replace function private.keep_report() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  emptied public.conversion_reports;
begin
  if tg_op = 'UPDATE' then
    emptied := old;
    emptied.click_refs := null;
    emptied.raw := null;
    if new is not distinct from emptied and exists (
      select from public.conversion_clicks k
      where k.affiliate_network = old.affiliate_network and k.reference = old.reference
        and not exists (select from public.affiliate_clicks c where c.id = k.click_id))
    then
      return new;
    end if;
  end if;
  raise insufficient_privilege using message = 'rows of public.conversion_reports are only added',
    hint = 'A correction is another report.';
end
$$;

create or replace function private.forget_reported_clicks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.conversion_reports r set click_refs = null, raw = null
  from deleted d
  join public.conversion_clicks k on k.click_id = d.id
  where r.affiliate_network = k.affiliate_network and r.reference = k.reference
    and (r.click_refs is not null or r.raw is not null);
  return null;
end
$$;

-- Materialized: on a table without statistics the planner would read all postings in order of currency to find one group.
create or replace function private.require_balance() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  unbalanced record;
begin
  with own as materialized (
    select e.currency, e.amount_minor from public.ledger_entries e where e.transaction_id = new.transaction_id
  )
  select o.currency, sum(o.amount_minor) as total into unbalanced
  from own o group by o.currency having sum(o.amount_minor) <> 0
  limit 1;
  if found then
    raise check_violation using message = pg_catalog.format('the transaction %s is off balance by %s minor units of %s',
      new.transaction_id, unbalanced.total, unbalanced.currency), constraint = 'ledger_entries_balanced';
  end if;
  return null;
end
$$;

create or replace function private.check_balances() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  set constraints public.ledger_entries_balanced immediate;
end
$$;
comment on function private.check_balances() is 'Refuses an unbalanced transaction now, and not at commit.';

create or replace function private.click_earnings(p_click uuid, p_currency text) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select sum(v.pending_minor + v.approved_minor + v.paid_minor)::bigint from public.conversions v
  where v.click_id = p_click and v.currency = p_currency and v.status in ('pending', 'amended', 'approved', 'paid')
$$;
comment on function private.click_earnings(uuid, text) is
  'The earnings of a click so far in this currency, in minor units; null without any. Other currencies are left out.';

-- What a click earned is read by its person (how many clicks converted), and is not the ledger.
create or replace function private.note_conversion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Serialises two sales of one click: a statement that began before the other committed would not see it.
  perform from public.affiliate_clicks c where c.id = new.click_id for no key update;
  update public.affiliate_clicks c set actual_commission_minor = private.click_earnings(c.id, c.currency)
  where c.id = new.click_id;
  if tg_op = 'UPDATE' and old.click_id is distinct from new.click_id then
    update public.affiliate_clicks c set actual_commission_minor = private.click_earnings(c.id, c.currency)
    where c.id = old.click_id;
  end if;
  return null;
end
$$;

create or replace function private.is_placement(p_network text, p_tracking_id text) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from public.placements p where p.network = p_network and p.tracking_id = p_tracking_id)
$$;
comment on function private.is_placement(text, text) is 'Whether this tracking id of a network is one of ours.';

create or replace function private.click_window_hours(p_retailer uuid) returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(r.click_window_hours, n.click_window_hours, 720)
  from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
  where r.id = p_retailer
$$;
comment on function private.click_window_hours(uuid) is
  'How many hours after a click a shop pays for an order: its own window, else that of its network.';

create or replace function private.last_followed(p_click uuid, p_before timestamptz) returns timestamptz
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select greatest(c.click_timestamp, max(h.redirected_at))
  from public.affiliate_clicks c
  left join public.affiliate_redirects h on h.user_id = c.user_id and h.click_id in (c.id, c.substitute_of)
    and coalesce(h.led_to_click_id, h.click_id) = c.id and h.is_counted and h.redirected_at <= p_before
  where c.id = p_click
  group by c.click_timestamp
$$;
comment on function private.last_followed(uuid, timestamptz) is
  'When the link of a click was made or, before a timestamp, last followed by a person.';

create or replace function private.device_of_click(p_user uuid, p_click uuid, p_device_class text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(p_device_class, (
    select h.device_class from public.affiliate_redirects h
    where h.user_id = p_user and h.click_id = p_click and h.device_class is not null
    order by h.redirected_at limit 1))
$$;
comment on function private.device_of_click(uuid, uuid, text) is
  'The class of device that a click was made on (the argument), else that of its first hit.';

create or replace function private.clicked_listing(p_user uuid, p_click uuid) returns uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select m.product_id from private.merged_rows m join public.products l on l.id = m.product_id
  where m.user_id = p_user and m.table_name = 'public.affiliate_clicks' and m.row_id = p_click
  order by l.merged_at limit 1
$$;
comment on function private.clicked_listing(uuid, uuid) is
  'The listing that a click was made on, if it was merged into another product since.';

create or replace function private.match_conversion(p_network text, p_reference text, p_click uuid, p_by text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  insert into public.conversion_clicks (
    affiliate_network, reference, click_id, first_click_id, retailer_id, product_id, offer_id, commission_rule_id,
    commission_rate, commission_flat_minor, commission_cap_minor, currency, clicked_at, campaign, source_page,
    device_class, recommendation_context, model_version, arm, has_gift_link, matched_by, click_window_hours,
    followed_at, first_clicked_at, first_campaign, first_source_page, first_device_class)
  select p_network, p_reference, c.id, first.id, c.retailer_id, c.product_id,
    coalesce(c.offer_id, private.clicked_listing(c.user_id, c.id), c.product_id), c.commission_rule_id,
    c.commission_rate, c.commission_flat_minor, c.commission_cap_minor, c.currency, c.click_timestamp,
    coalesce(c.campaign, visit.campaign), c.source_page,
    coalesce(private.device_of_click(c.user_id, c.id, c.device_class), visit.device_class),
    r.recommendation_context, r.model_version, r.arm, c.gift_link_id is not null, p_by, w.hours,
    null,  -- ledger.refresh_matches sets it
    first.click_timestamp, first.campaign, first.source_page,
    private.device_of_click(first.user_id, first.id, first.device_class)
  from public.affiliate_clicks c
  left join public.recommendations r on r.user_id = c.user_id and r.id = c.recommendation_id
  left join lateral (  -- as private.funnel_facts()
    select v.campaign, v.device_class from public.session_analytics v
    where v.user_id = c.user_id and (v.session_id = c.session_id
      or v.started_at > c.click_timestamp - interval '24 hours' and v.started_at <= c.click_timestamp)
    order by (v.session_id = c.session_id) desc nulls last, v.started_at desc, v.id desc limit 1) visit on true
  cross join lateral (select coalesce(private.click_window_hours(c.retailer_id), 720) as hours) w
  cross join lateral (
    select f.* from public.affiliate_clicks f
    where f.user_id = c.user_id and (f.id = c.id or f.retailer_id = c.retailer_id)
      and f.click_timestamp <= c.click_timestamp
      and f.click_timestamp > c.click_timestamp - w.hours * interval '1 hour'
    order by f.click_timestamp, f.id <> c.id, f.id limit 1) first
  where c.id = p_click
  on conflict (affiliate_network, reference) do update set
    click_id = excluded.click_id, first_click_id = excluded.first_click_id, retailer_id = excluded.retailer_id,
    product_id = excluded.product_id, offer_id = excluded.offer_id, commission_rule_id = excluded.commission_rule_id,
    commission_rate = excluded.commission_rate, commission_flat_minor = excluded.commission_flat_minor,
    commission_cap_minor = excluded.commission_cap_minor, currency = excluded.currency,
    clicked_at = excluded.clicked_at, campaign = excluded.campaign, source_page = excluded.source_page,
    device_class = excluded.device_class, recommendation_context = excluded.recommendation_context,
    model_version = excluded.model_version, arm = excluded.arm, has_gift_link = excluded.has_gift_link,
    matched_by = excluded.matched_by, click_window_hours = excluded.click_window_hours,
    followed_at = excluded.followed_at, first_clicked_at = excluded.first_clicked_at,
    first_campaign = excluded.first_campaign, first_source_page = excluded.first_source_page,
    first_device_class = excluded.first_device_class
$$;
comment on function private.match_conversion(text, text, uuid, text) is
  'Notes the click of a conversion in place of any other, with what figures need of it once it is erased; nothing for an unknown '
  'click.';

create or replace function private.attributed_conversions(p_model text)
returns table (
  conversion_id uuid, click_id uuid, clicked_at timestamptz, campaign text, source_page text, device_class text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select v.id, k.click_id, k.clicked_at, k.campaign, k.source_page, k.device_class
  from public.conversion_clicks k join public.conversions v using (affiliate_network, reference)
  where p_model = 'last'
  union all
  select v.id, coalesce(k.first_click_id, k.click_id), coalesce(k.first_clicked_at, k.clicked_at), k.first_campaign,
    k.first_source_page, k.first_device_class
  from public.conversion_clicks k join public.conversions v using (affiliate_network, reference)
  where p_model = 'first'
$$;
comment on function private.attributed_conversions(text) is
  'The click to which each conversion is credited, with what is kept of it: by the model `last` (what networks pay for) or '
  '`first` (for analyses: the person''s first click at the shop within its window). docs/money.md';

-- A sale by a person's own click is feedback that they bought the product, for as long as it stands and is not held. What is bought through
-- a gift link says nothing of the person whose click it is.
create or replace function private.note_purchase() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  stands constant boolean := new.user_id is not null and not new.is_held
    and new.status in ('pending', 'amended', 'approved', 'paid');
  has_changed boolean := false;
begin
  if tg_op = 'UPDATE' and old.user_id is not null then
    if stands and old.click_id = new.click_id then  -- the rows of a session move to its account: private.merge_session()
      update public.recommendation_feedback f set user_id = new.user_id
      where f.user_id = old.user_id and f.conversion_id = new.id and old.user_id <> new.user_id;
    else
      delete from public.recommendation_feedback f where f.user_id = old.user_id and f.conversion_id = new.id;
      has_changed := found;
    end if;
  end if;
  if stands then
    insert into public.recommendation_feedback (user_id, recommendation_id, product_id, feedback_type, conversion_id)
    select new.user_id, c.recommendation_id, o.product_id, 'purchased', new.id
    from public.affiliate_clicks c
    join public.product_offers o on o.id = new.product_id
    where c.id = new.click_id and c.gift_link_id is null
    on conflict (user_id, conversion_id) where conversion_id is not null do nothing;
    has_changed := has_changed or found;
  end if;
  if has_changed then
    update public.personality_recommendations r set is_purchased = b.is_bought, interacted_at = now()
    from (
      select p.user_id, p.id, exists (
        select from public.recommendation_feedback f
        where f.user_id = p.user_id and f.product_id = p.product_id and f.feedback_type = 'purchased') as is_bought
      from public.personality_recommendations p
      where p.user_id in (new.user_id, case when tg_op = 'UPDATE' then old.user_id end)
        and p.product_id in (
          select o.product_id from public.product_offers o
          where o.id in (new.product_id, case when tg_op = 'UPDATE' then old.product_id end))
    ) b
    where r.user_id = b.user_id and r.id = b.id and r.is_purchased <> b.is_bought;
    perform pg_catalog.pg_notify('aclue_changes', 'feeds ' || u.id)
    from unnest(array[new.user_id, case when tg_op = 'UPDATE' then old.user_id end]) u (id) where u.id is not null;
  end if;
  return null;
end
$$;
comment on function private.note_purchase() is 'Notes what a person bought as their feedback, and takes it back: once per sale, in any order.';

drop function if exists private.complete_conversion();

create or replace trigger payments_kept before update or delete on public.payments
  for each statement execute function private.refuse_change();
create or replace trigger payments_not_emptied before truncate on public.payments
  for each statement execute function private.refuse_change();
alter table public.payments
  enable always trigger payments_kept, enable always trigger payments_not_emptied;
create or replace trigger ledger_entries_kept before update or delete on public.ledger_entries
  for each statement execute function private.refuse_change();
create or replace trigger ledger_entries_not_emptied before truncate on public.ledger_entries
  for each statement execute function private.refuse_change();
alter table public.ledger_entries
  enable always trigger ledger_entries_kept, enable always trigger ledger_entries_not_emptied;
create or replace trigger ledger_decisions_kept before update or delete on public.ledger_decisions
  for each statement execute function private.refuse_change();
create or replace trigger ledger_decisions_not_emptied before truncate on public.ledger_decisions
  for each statement execute function private.refuse_change();
alter table public.ledger_decisions
  enable always trigger ledger_decisions_kept, enable always trigger ledger_decisions_not_emptied;
create or replace trigger conversion_flags_kept before delete on public.conversion_flags
  for each statement execute function private.refuse_change();
create or replace trigger conversion_flags_not_emptied before truncate on public.conversion_flags
  for each statement execute function private.refuse_change();
alter table public.conversion_flags
  enable always trigger conversion_flags_kept, enable always trigger conversion_flags_not_emptied;
create or replace trigger exchange_rates_kept before update or delete on public.exchange_rates
  for each statement execute function private.refuse_change();
create or replace trigger exchange_rates_not_emptied before truncate on public.exchange_rates
  for each statement execute function private.refuse_change();
alter table public.exchange_rates
  enable always trigger exchange_rates_kept, enable always trigger exchange_rates_not_emptied;
create or replace trigger conversion_reports_kept before update or delete on public.conversion_reports
  for each row execute function private.keep_report();
create or replace trigger conversion_reports_not_emptied before truncate on public.conversion_reports
  for each statement execute function private.refuse_change();
alter table public.conversion_reports
  enable always trigger conversion_reports_kept, enable always trigger conversion_reports_not_emptied;

create or replace trigger affiliate_clicks_forgotten after delete on public.affiliate_clicks
  referencing old table as deleted for each statement
  execute function private.forget_reported_clicks();

drop trigger if exists ledger_entries_balanced on public.ledger_entries;
create constraint trigger ledger_entries_balanced after insert on public.ledger_entries
  deferrable initially deferred for each row execute function private.require_balance();
alter table public.ledger_entries enable always trigger ledger_entries_balanced;

create or replace trigger conversions_noted after insert or update of status, currency, click_id, pending_minor, approved_minor, paid_minor
  on public.conversions for each row execute function private.note_conversion();

create or replace trigger conversions_purchased after insert or update of status, user_id, click_id, product_id, is_held
  on public.conversions for each row execute function private.note_purchase();

revoke all on function private.refuse_change(), private.keep_report(), private.forget_reported_clicks(),
  private.require_balance(), private.check_balances(), private.click_earnings(uuid, text), private.note_conversion(),
  private.is_placement(text, text), private.match_conversion(text, text, uuid, text), private.note_purchase(),
  private.click_window_hours(uuid), private.last_followed(uuid, timestamptz),
  private.device_of_click(uuid, uuid, text), private.attributed_conversions(text), private.clicked_listing(uuid, uuid)
  from public, anon, authenticated;
grant execute on function private.check_balances(), private.click_earnings(uuid, text), private.is_placement(text, text),
  private.match_conversion(text, text, uuid, text), private.click_window_hours(uuid),
  private.last_followed(uuid, timestamptz), private.device_of_click(uuid, uuid, text),
  private.attributed_conversions(text), private.clicked_listing(uuid, uuid) to service_role;
