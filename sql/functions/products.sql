-- Category trees, and the columns of products that searches use: search.sql.

create or replace function private.category_subtree(p_id uuid) returns setof uuid
language sql stable rows 10
set search_path = pg_catalog, pg_temp
as $$
  with recursive tree as (
    select p_id as id
    union
    select c.id from public.categories c join tree t on c.parent_id = t.id
  )
  select id from tree
$$;
comment on function private.category_subtree(uuid) is 'A category and all below it.';

create or replace function private.category_tree(p_slug text) returns setof uuid
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select private.category_subtree(id) from public.categories where slug = p_slug
$$;
comment on function private.category_tree(text) is 'The same by slug; empty for an unknown one.';

create or replace function private.set_search_names() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.search_names := pg_catalog.concat_ws(' ',
    (select name from public.brands where id = new.brand_id),
    (select name from public.categories where id = new.category_id),
    pg_catalog.array_to_string(new.tags, ' '));
  new.name_key := private.search_fold(new.name);
  new.name_words := private.suggest_words(new.name);
  new.search := private.product_search(new.name, new.search_names, new.description);
  return new;
end
$$;

create or replace trigger products_search_names
  before insert or update of name, description, brand_id, category_id, tags, search_names, name_key, name_words, search
  on public.products for each row execute function private.set_search_names();

-- A statement-level trigger, only on rows whose text changes: imports write thousands of products at a time, and a new
-- model updates the popularity of all of them.
create or replace function private.index_search_words() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  found_words text[];
  shown uuid[];
begin
  -- Words are deduplicated first: even a large catalogue has few distinct ones.
  if tg_op = 'INSERT' then
    found_words := array(
      select distinct pg_catalog.unnest(pg_catalog.string_to_array(private.search_normal(
        pg_catalog.concat_ws(' ', p.name, p.search_names, private.search_beginning(p.description))), ' ')) from changed p);
    shown := array(select p.id from changed p where p.is_active);
  else
    -- By execute, which counts the changed rows each time: private.note_offers().
    execute $q$
      select coalesce(array_agg(distinct w.word), '{}')
      from changed p join previous o on o.id = p.id
      cross join lateral unnest(string_to_array(private.search_normal(
        concat_ws(' ', p.name, p.search_names, private.search_beginning(p.description))), ' ')) w (word)
      where (p.name, p.search_names, p.description) is distinct from (o.name, o.search_names, o.description)
      $q$ into found_words;
    execute $q$
      select array_agg(p.id)
      from changed p join previous o on o.id = p.id
      where p.is_active and (p.is_active, p.brand_id, p.category_id, p.tags)
        is distinct from (o.is_active, o.brand_id, o.category_id, o.tags)
      $q$ into shown;
  end if;
  perform private.add_search_words(found_words);
  if pg_catalog.cardinality(shown) > 0 then
    perform private.add_suggestions(shown);
  end if;
  return null;
end
$$;

create or replace trigger products_search_words_inserted after insert on public.products
  referencing new table as changed
  for each statement execute function private.index_search_words();
create or replace trigger products_search_words_updated after update on public.products
  referencing new table as changed old table as previous
  for each statement execute function private.index_search_words();

revoke all on function private.set_search_names(), private.index_search_words() from public;
grant execute on function private.category_tree(text), private.category_subtree(uuid)
  to anon, authenticated, service_role;
