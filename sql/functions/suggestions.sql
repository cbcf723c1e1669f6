-- Suggestions: what a typed text may become. 20261130050000_suggestions.sql says what is stored.
--
-- The most popular are looked through first, in the order of an index: whatever many names have is found there at once. A
-- word that is not found there is rare, or nearly, and an inverted index finds it. Both are bounded, so the time is, too.

create or replace function private.suggest_patterns(p_prefix text) returns text[]
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return array(
  select '% ' || w.word || '%'
  from unnest(string_to_array(private.search_normal(left(p_prefix, 200)), ' ')) with ordinality w (word, place)
  where w.place <= 8);
comment on function private.suggest_patterns(text) is
  'For each typed word the pattern of words that begin with it, at most 8; none for a text without words.';

create or replace function private.suggest_query(p_prefix text) returns tsquery
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return (
  select string_agg('''' || w.word || ''':*', ' & ')
  from unnest(string_to_array(private.search_normal(left(p_prefix, 200)), ' ')) with ordinality w (word, place)
  where w.place <= 8)::tsquery;
comment on function private.suggest_query(text) is 'The same as a query for an inverted index.';

create or replace function private.suggest_products(p_prefix text, p_size integer) returns uuid[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off  -- statistics of prefixes are too coarse to choose by
as $$
declare
  patterns constant text[] := private.suggest_patterns(p_prefix);
  found_ids uuid[];
begin
  if pg_catalog.cardinality(patterns) = 0 then
    return '{}';
  end if;
  select array(
    select p.id
    from (
      select r.id, r.popularity, r.name_words from public.products r
      where r.is_active order by r.popularity desc, r.id desc limit 1500
    ) p
    where ' ' || p.name_words like all (patterns)
    order by p.popularity desc, p.id desc limit p_size) into found_ids;
  if pg_catalog.cardinality(found_ids) >= p_size then
    return found_ids;
  end if;
  select array(
    select p.id
    from (
      select r.id, r.popularity from public.products r
      where r.is_active
        and pg_catalog.array_to_tsvector(pg_catalog.string_to_array(r.name_words, ' ')) @@ private.suggest_query(p_prefix)
      limit 2000
    ) p
    order by p.popularity desc, p.id desc limit p_size) into found_ids;
  return found_ids;
end
$$;
comment on function private.suggest_products(text, integer) is
  'Active products whose names have words that begin with each typed one, most popular first. Of more than 2,000 that are '
  'not among the 1,500 most popular of all, any.';

create or replace function private.suggest_names(p_kind text, p_prefix text, p_size integer) returns text[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  patterns constant text[] := private.suggest_patterns(p_prefix);
  found_keys text[];
begin
  if pg_catalog.cardinality(patterns) = 0 then
    return '{}';
  end if;
  select array(
    select s.key
    from (
      select r.key, r.products, r.words from private.suggestions r
      where r.kind = p_kind order by r.products desc, r.key limit 1500
    ) s
    where ' ' || s.words like all (patterns)
    order by s.products desc, s.key limit p_size) into found_keys;
  if pg_catalog.cardinality(found_keys) >= p_size then
    return found_keys;
  end if;
  select array(
    select s.key
    from (
      select r.key, r.products from private.suggestions r
      where pg_catalog.array_to_tsvector(
          pg_catalog.array_append(pg_catalog.string_to_array(r.words, ' '), '=' || r.kind))
        @@ pg_catalog.tsquery_and(('''=' || p_kind || '''')::tsquery, private.suggest_query(p_prefix))
      limit 2000
    ) s
    order by s.products desc, s.key limit p_size) into found_keys;
  return found_keys;
end
$$;
comment on function private.suggest_names(text, text, integer) is
  'Keys of the brands, categories or tags that have words which begin with each typed one, those with the most products '
  'first; bounded as private.suggest_products().';

-- What products of the catalogue have now, so that it is suggested at once; what nothing has any more stays until all are
-- counted. `p_products`: those that changed.
create or replace function private.add_suggestions(p_products uuid[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  with recursive changed as (
    select p.brand_id, p.category_id, p.tags from public.products p where p.id = any (p_products) and p.is_active
  ),
  tree as (
    select category_id as id from changed
    union
    select c.parent_id from tree t join public.categories c on c.id = t.id where c.parent_id is not null
  )
  insert into private.suggestions (kind, key, words)
  select n.kind, n.key, private.suggest_words(n.name)
  from (
    select 'brand' as kind, b.id::text as key, b.name from public.brands b
    where b.id in (select brand_id from changed) and b.is_active
    union all
    select 'category', c.id::text, c.name from public.categories c where c.id in (select id from tree) and c.is_active
    union all
    select distinct 'tag', tag, tag from changed cross join unnest(tags) tag
  ) n
  where not exists (select from private.suggestions s where s.kind = n.kind and s.key = n.key)
  order by n.kind, n.key  -- so that two transactions never wait for each other
  on conflict do nothing
$$;

create or replace function private.refresh_suggestions() returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with recursive counted as materialized (
    select brand_id, category_id, count(*)::int as products from public.products where is_active group by 1, 2
  ),
  tree (id, products) as (
    select category_id, sum(products) from counted group by 1
    union all
    select c.parent_id, t.products from tree t join public.categories c on c.id = t.id where c.parent_id is not null
  ),
  fresh as materialized (
    select 'brand' as kind, b.id::text as key, b.name, sum(n.products)::int as products
    from counted n join public.brands b on b.id = n.brand_id and b.is_active group by b.id
    union all
    select 'category', c.id::text, c.name, sum(t.products)::int
    from tree t join public.categories c on c.id = t.id and c.is_active group by c.id
    union all
    select 'tag', tag, tag, count(*)::int
    from public.products p cross join unnest(p.tags) tag where p.is_active group by tag
  ),
  gone as (
    delete from private.suggestions s
    where not exists (select from fresh f where f.kind = s.kind and f.key = s.key)
  )
  insert into private.suggestions as s (kind, key, words, products)
  select kind, key, private.suggest_words(name), products from fresh
  on conflict on constraint suggestions_pkey do update set words = excluded.words, products = excluded.products
  where (s.words, s.products) is distinct from (excluded.words, excluded.products)
$$;
comment on function private.refresh_suggestions() is
  'Counts anew what is suggested, and forgets what no product of the catalogue has; private.refresh_model() calls it.';

-- A brand or category that is renamed, hidden, shown again or moved.
create or replace function private.suggest_name() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.is_active then
    update private.suggestions s set words = private.suggest_words(new.name)
    where s.kind = tg_argv[0] and s.key = new.id::text;
    if tg_argv[0] = 'brand' then
      perform private.add_suggestions(array(
        select p.id from public.products p where p.brand_id = new.id and p.is_active limit 1));
    else
      perform private.add_suggestions(array(
        select p.id from public.products p
        where p.category_id = any (array(select private.category_subtree(new.id))) and p.is_active limit 1));
    end if;
  else
    delete from private.suggestions s where s.kind = tg_argv[0] and s.key = new.id::text;
  end if;
  return null;
end
$$;
create or replace trigger brands_suggested after update of name, is_active on public.brands
  for each row when ((old.name, old.is_active) is distinct from (new.name, new.is_active))
  execute function private.suggest_name('brand');
create or replace trigger categories_suggested after update of name, is_active, parent_id on public.categories
  for each row when ((old.name, old.is_active, old.parent_id) is distinct from (new.name, new.is_active, new.parent_id))
  execute function private.suggest_name('category');

revoke all on function private.suggest_patterns(text), private.suggest_query(text),
  private.suggest_products(text, integer), private.suggest_names(text, text, integer), private.add_suggestions(uuid[]),
  private.refresh_suggestions(), private.suggest_name() from public, anon, authenticated, service_role;
grant execute on function private.suggest_products(text, integer), private.suggest_names(text, text, integer)
  to anon, authenticated, service_role;

-- Products that the release before wrote between the migrations and the triggers.
update public.products set name = name where name_key = '' or search is null or name_words is null;
-- Of databases whose products were there before.
select private.refresh_suggestions() where not exists (select from private.suggestions);
