-- What is agreed with shops in more detail, and what a click and its conversion keep of it.
-- squawk-ignore-file ban-drop-constraint, ban-drop-not-null, adding-foreign-key-constraint, constraint-missing-not-valid
-- squawk-ignore-file disallowed-unique-constraint, require-concurrent-index-creation, require-concurrent-index-deletion

alter table public.commission_rules
  alter column retailer_id drop not null,
  alter column rate drop not null,
  add column affiliate_network text constraint commission_rules_affiliate_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  add column brand_id uuid constraint commission_rules_brand_id_fkey references public.brands (id) on delete cascade,
  add column flat_minor bigint,
  add column cap_minor bigint,
  add column currency char(3) constraint commission_rules_currency_fkey
    references public.currencies (code) on delete restrict,
  add column min_conversions integer,
  drop constraint commission_rules_start_key,
  add constraint commission_rules_start_key
    unique nulls not distinct (affiliate_network, retailer_id, category_id, brand_id, min_conversions, currency, valid_from),
  add constraint commission_rules_subject check (retailer_id is not null or affiliate_network is not null),
  add constraint commission_rules_percent_or_flat check ((rate is null) <> (flat_minor is null)),
  add constraint commission_rules_flat_not_negative check (flat_minor >= 0),
  add constraint commission_rules_cap_not_negative check (cap_minor >= 0),
  add constraint commission_rules_amounts_have_currency
    check (currency is not null or (flat_minor is null and cap_minor is null)),
  add constraint commission_rules_min_conversions_range check (min_conversions > 0);
comment on table public.commission_rules is
  'What is agreed with a shop or a network, for all it sells, or for a category and all below it, or a brand. The most specific '
  'rule counts: private.commission_terms().';
comment on column public.commission_rules.flat_minor is 'Paid per sale, in place of a rate.';
comment on column public.commission_rules.cap_minor is 'The most that a sale earns.';
comment on column public.commission_rules.currency is 'Of flat_minor and cap_minor: the rule counts for prices in it only.';
comment on column public.commission_rules.min_conversions is
  'A tier: the rule counts once the shop, or the network, has so many conversions in the month of the click (UTC).';
create index commission_rules_retailer_id_idx on public.commission_rules (retailer_id);
create index commission_rules_affiliate_network_idx on public.commission_rules (affiliate_network);
create index commission_rules_brand_id_idx on public.commission_rules (brand_id);
create index commission_rules_currency_idx on public.commission_rules (currency);

alter table public.affiliate_clicks
  add column commission_rule_id uuid,
  add column commission_flat_minor bigint,
  add column commission_cap_minor bigint;
comment on column public.affiliate_clicks.commission_rule_id is
  'The rule that counted at the click, null for the shop''s default rate. No foreign key: rules go, clicks stay.';

alter table public.retailers
  add column click_window_hours integer not null default 720,
  add constraint retailers_click_window_range check (click_window_hours between 1 and 8784);
comment on column public.retailers.click_window_hours is 'How long after a click the shop pays for an order.';

alter table public.conversion_clicks
  add column first_click_id uuid,
  add column commission_rule_id uuid,
  add column commission_flat_minor bigint,
  add column commission_cap_minor bigint,
  add column campaign text,
  add column source_page text,
  add column device_class text,
  add column recommendation_context text,
  add column model_version integer,
  add column arm smallint,
  add column has_gift_link boolean not null default false;
comment on column public.conversion_clicks.first_click_id is
  'The person''s first click at the shop within its window before this one: for analyses; this one is what is paid for.';
comment on column public.conversion_clicks.device_class is 'Of the first visitor who followed the link.';
