-- What was agreed with shops and networks.

drop function if exists private.commission_rate(uuid, uuid, timestamptz);
create or replace function private.commission_terms(
  p_retailer uuid, p_category uuid, p_brand uuid, p_currency text, p_at timestamptz)
returns table (rule_id uuid, rate numeric, flat_minor bigint, cap_minor bigint)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with recursive path as (
    select id, parent_id, 0 as distance from public.categories where id = p_category
    union all
    select c.id, c.parent_id, p.distance + 1 from public.categories c join path p on c.id = p.parent_id
    where p.distance < 20
  ),
  shop as (select id, affiliate_network, commission_rate from public.retailers where id = p_retailer),
  rule as (
    select r.id, r.rate, r.flat_minor, r.cap_minor
    from shop s
    join public.commission_rules r on r.retailer_id = s.id or r.retailer_id is null
    left join path p on p.id = r.category_id
    where (r.affiliate_network is null or r.affiliate_network = s.affiliate_network)
      and (r.category_id is null or p.id is not null)
      and (r.brand_id is null or r.brand_id = p_brand)
      and (r.currency is null or r.currency = p_currency)
      and r.valid_from <= p_at and coalesce(r.valid_until, 'infinity') > p_at
      and (r.min_conversions is null or r.min_conversions <= (
        select count(*) from public.conversions v
        where v.status not in ('declined', 'void', 'unknown')
          and v.ordered_at >= date_trunc('month', p_at, 'UTC') and v.ordered_at < p_at
          and case when r.retailer_id is null then v.affiliate_network = r.affiliate_network
            else v.retailer_id = r.retailer_id end))
    order by r.retailer_id is null, num_nulls(r.category_id, r.brand_id), p.distance nulls last,
      r.min_conversions desc nulls last, r.currency is null, r.affiliate_network is null, r.valid_from desc, r.id
    limit 1
  )
  select rule.id, rule.rate, rule.flat_minor, rule.cap_minor from rule
  union all
  -- Without a network a shop pays nothing.
  select null, coalesce(s.commission_rate, n.commission_rate, 0), null, null
  from shop s left join public.affiliate_networks n on n.code = s.affiliate_network
  where not exists (select from rule)
$$;
comment on function private.commission_terms(uuid, uuid, uuid, text, timestamptz) is
  'The most specific rule for a product at a time: of the shop before the network; of category and brand before one of them, the '
  'nearest category first; the highest tier that is reached; the latest. Without a rule the shop''s default rate, else a '
  'typical one of its network; rates are 0..1.';

create or replace function private.expected_commission(
  p_sale bigint, p_rate numeric, p_flat bigint, p_cap bigint) returns bigint
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select least(coalesce(p_flat, round(p_sale * p_rate)::bigint), p_cap)
$$;
comment on function private.expected_commission(bigint, numeric, bigint, bigint) is
  'What a sale earns under these terms, in minor units, half up; null without a rate or a flat amount.';

revoke all on function private.commission_terms(uuid, uuid, uuid, text, timestamptz),
  private.expected_commission(bigint, numeric, bigint, bigint) from public, anon, authenticated;
grant execute on function private.commission_terms(uuid, uuid, uuid, text, timestamptz),
  private.expected_commission(bigint, numeric, bigint, bigint) to service_role;
