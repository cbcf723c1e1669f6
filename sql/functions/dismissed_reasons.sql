-- "Not because of this": docs/recommendations.md

create or replace function private.dismissed_reasons(p_user uuid, p_until timestamptz default 'infinity')
returns table (kind text, key text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select d.kind, d.key from public.dismissed_reasons d
  where d.user_id = p_user and d.dismissed_at <= p_until and (d.restored_at is null or d.restored_at > p_until)
$$;
comment on function private.dismissed_reasons(uuid, timestamptz) is
  'What a person had dismissed at a timestamp. key: a product''s, category''s or brand''s id, a tag, or a trait.';

-- The lock makes the bound hold for concurrent requests, too.
create or replace function private.dismiss_reason(p_kind text, p_key text, out id uuid, out refusal text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  max_current constant integer := 200;
  max_kept constant integer := 1000;
  found_product uuid;
  found_category uuid;
  found_brand uuid;
  found_label text;
begin
  if auth.uid() is null then
    raise insufficient_privilege using message = 'reasons are dismissed by a person';
  end if;
  case p_kind
    when 'product' then
      if p_key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        select p.id, p.name into found_product, found_label
        from public.product_offers o join public.products p on p.id = o.product_id where o.id = p_key::uuid;
      end if;
    when 'category' then
      select c.id, c.name into found_category, found_label from public.categories c where c.slug = p_key;
    when 'brand' then
      select b.id, b.name into found_brand, found_label from public.brands b where b.slug = p_key;
    when 'tag' then
      select pg_catalog.initcap(pg_catalog.replace(p_key, '-', ' ')) into found_label
      where char_length(p_key) between 1 and 1000 and exists (select from public.products p where p.tags @> array[p_key]);
    when 'trait' then
      select pg_catalog.initcap(p_key) into found_label
      where p_key in ('adventurous', 'intellectual', 'practical', 'creative', 'social');
    else
      null;
  end case;
  if found_label is null then
    refusal := 'unknown';
    return;
  end if;
  perform from public.profiles p where p.id = auth.uid() for no key update;
  select d.id into dismiss_reason.id from public.dismissed_reasons d
  where d.user_id = auth.uid() and d.kind = p_kind and d.restored_at is null
    and d.key = coalesce(found_product::text, found_category::text, found_brand::text, p_key);
  if found then
    return;
  end if;
  -- No feed is paged for so long.
  delete from public.dismissed_reasons d
  where d.user_id = auth.uid() and d.restored_at < pg_catalog.now() - interval '30 days';
  select case when count(*) filter (where d.restored_at is null) >= max_current then 'too many'
    when count(*) >= max_kept then 'too often' end
  into refusal from public.dismissed_reasons d where d.user_id = auth.uid();
  if refusal is null then
    insert into public.dismissed_reasons as d (user_id, product_id, category_id, brand_id, tag, trait, label)
    values (auth.uid(), found_product, found_category, found_brand,
      case p_kind when 'tag' then p_key end, case p_kind when 'trait' then p_key end, left(found_label, 1000))
    returning d.id into dismiss_reason.id;
  end if;
end
$$;
comment on function private.dismiss_reason(text, text) is
  'Dismisses a reason for the caller; returns its id (of the earlier one if it is dismissed already), or why not. p_key: '
  'a product''s id, a slug of a category or brand, a tag, or a trait.';

revoke all on function private.dismissed_reasons(uuid, timestamptz), private.dismiss_reason(text, text) from public;
grant execute on function private.dismissed_reasons(uuid, timestamptz), private.dismiss_reason(text, text)
  to anon, authenticated, service_role;
