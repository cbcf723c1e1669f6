-- Rates that were agreed with shops.

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

revoke all on function private.commission_rate(uuid, uuid, timestamptz) from public, anon, authenticated;
grant execute on function private.commission_rate(uuid, uuid, timestamptz) to service_role;
