-- Rates and the ledger.

create or replace function private.commission_rate(p_retailer uuid, p_category uuid, p_at timestamptz) returns numeric
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with recursive path as (
    select id, parent_id, 0 as distance from public.categories where id = p_category
    union all
    select c.id, c.parent_id, p.distance + 1 from public.categories c join path p on c.id = p.parent_id
    where p.distance < 20
  )
  select coalesce(
    (select r.rate
     from public.commission_rules r left join path p on p.id = r.category_id
     where r.retailer_id = p_retailer and (r.category_id is null or p.id is not null)
       and r.valid_from <= p_at and coalesce(r.valid_until, 'infinity') > p_at
     order by p.distance nulls last, r.valid_from desc
     limit 1),
    (select commission_rate from public.retailers where id = p_retailer))
$$;
comment on function private.commission_rate(uuid, uuid, timestamptz) is
  'The rate agreed for the nearest category of a product, else for the shop, else the shop''s default rate; 0..1.';

-- A network reports our click and little else: the rest is copied from the click while it exists.
create or replace function private.complete_conversion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  click record;
begin
  select c.user_id, c.retailer_id, c.product_id, c.click_timestamp into click
  from public.affiliate_clicks c where c.id = new.click_id;
  if found then
    new.user_id := coalesce(new.user_id, click.user_id);
    new.retailer_id := coalesce(new.retailer_id, click.retailer_id);
    new.product_id := coalesce(new.product_id, click.product_id);
    new.clicked_at := coalesce(new.clicked_at, click.click_timestamp);
  end if;
  return new;
end
$$;

create or replace function private.click_earnings(p_click uuid, p_currency text) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select sum(v.commission_minor)::bigint from public.conversions v
  where v.click_id = p_click and v.currency = p_currency and v.status in ('pending', 'approved', 'paid')
$$;
comment on function private.click_earnings(uuid, text) is
  'The earnings of a click so far in this currency, in minor units; null without any. Other currencies are left out.';

create or replace function private.note_conversion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' or (new.status, new.sale_minor, new.commission_minor)
    is distinct from (old.status, old.sale_minor, old.commission_minor)
  then
    insert into public.conversion_events (conversion_id, status, sale_minor, commission_minor)
    values (new.id, new.status, new.sale_minor, new.commission_minor);
    -- Serialises two sales of one click: a statement that began before the other committed would not see it.
    perform from public.affiliate_clicks c where c.id = new.click_id for no key update;
    update public.affiliate_clicks c set actual_commission_minor = private.click_earnings(c.id, c.currency)
    where c.id = new.click_id;
  end if;
  return null;
end
$$;

create or replace trigger conversions_complete before insert on public.conversions
  for each row execute function private.complete_conversion();
create or replace trigger conversions_noted after insert or update on public.conversions
  for each row execute function private.note_conversion();

revoke all on function private.commission_rate(uuid, uuid, timestamptz), private.click_earnings(uuid, text),
  private.complete_conversion(), private.note_conversion() from public, anon, authenticated;
grant execute on function private.commission_rate(uuid, uuid, timestamptz), private.click_earnings(uuid, text)
  to service_role;
