-- What follows when administrators rename or move a part of the catalogue.

create or replace function private.keep_earlier_name() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  was constant uuid := (pg_catalog.to_jsonb(old) ->> 'parent_id')::uuid;
  now_is constant uuid := (pg_catalog.to_jsonb(new) ->> 'parent_id')::uuid;
begin
  delete from private.earlier_names e
  where e.kind = tg_argv[0] and e.parent_id is not distinct from now_is and e.name = new.name;
  insert into private.earlier_names (kind, parent_id, name, target_id) values (tg_argv[0], was, old.name, new.id)
  on conflict on constraint earlier_names_key do update set target_id = excluded.target_id;
  return null;
end
$$;
create or replace trigger brands_renamed after update of name on public.brands
  for each row when (old.name <> new.name) execute function private.keep_earlier_name('brand');
create or replace trigger retailers_renamed after update of name on public.retailers
  for each row when (old.name <> new.name) execute function private.keep_earlier_name('retailer');
create or replace trigger categories_renamed after update of name, parent_id on public.categories
  for each row when ((old.name, old.parent_id) is distinct from (new.name, new.parent_id))
  execute function private.keep_earlier_name('category');

-- Searches find products by the names of their brand and category.
create or replace function private.rename_in_products() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_argv[0] = 'brand' then
    update public.products p set brand_id = p.brand_id where p.brand_id = new.id;
  else
    update public.products p set category_id = p.category_id where p.category_id = new.id;
  end if;
  return null;
end
$$;
create or replace trigger brands_renamed_in_products after update of name on public.brands
  for each row when (old.name <> new.name) execute function private.rename_in_products('brand');
create or replace trigger categories_renamed_in_products after update of name on public.categories
  for each row when (old.name <> new.name) execute function private.rename_in_products('category');

-- Two moves at once could make a circle that neither sees.
create or replace function private.keep_tree() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('category tree', 0));
  if exists (
    with recursive above as (
      select new.parent_id as id
      union
      select c.parent_id from public.categories c join above a on c.id = a.id
    )
    select from above where id = new.id)
  then
    raise exception 'a category cannot be below itself'
      using errcode = 'check_violation', constraint = 'categories_no_circle', table = 'categories', schema = 'public';
  end if;
  return new;
end
$$;
create or replace trigger categories_no_circle before update of parent_id on public.categories
  for each row when (new.parent_id is not null and old.parent_id is distinct from new.parent_id)
  execute function private.keep_tree();

revoke all on function private.keep_earlier_name(), private.rename_in_products(), private.keep_tree()
  from public, anon, authenticated, service_role;
