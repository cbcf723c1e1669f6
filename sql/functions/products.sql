-- Search and category trees.

create or replace function private.category_subtree(p_id uuid) returns setof uuid
language sql stable rows 10
set search_path = ''
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
set search_path = ''
as $$
  select private.category_subtree(id) from public.categories where slug = p_slug
$$;
comment on function private.category_tree(text) is 'The same by slug; none for an unknown one.';

create or replace function private.word_variants(p_word text) returns setof text
language sql immutable strict parallel safe
set search_path = ''
as $$
  select p_word
  union
  select overlay(p_word placing '' from i for 1) from pg_catalog.generate_series(1, char_length(p_word)) i
$$;
comment on function private.word_variants(text) is 'The word, and the word with each one of its letters left out.';

create or replace function private.set_search_names() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.search_names := pg_catalog.concat_ws(' ',
    (select name from public.brands where id = new.brand_id),
    (select name from public.categories where id = new.category_id),
    pg_catalog.array_to_string(new.tags, ' '));
  return new;
end
$$;

create or replace trigger products_search_names before insert or update of brand_id, category_id, tags, search_names
  on public.products for each row execute function private.set_search_names();

-- Statement level, and only on rows whose text is new: imports write thousands of products at a time, and a new model
-- touches all of them for their popularity.
create or replace function private.index_search_words() returns trigger
language plpgsql security definer
set search_path = ''
as $$
declare
  found_words text[];
begin
  -- Each word once before anything else is asked of it: even a large catalogue has few.
  if tg_op = 'INSERT' then
    found_words := array(
      select distinct pg_catalog.unnest(pg_catalog.tsvector_to_array(pg_catalog.to_tsvector(
        'pg_catalog.simple', p.name || ' ' || p.search_names || ' ' || coalesce(p.description, '')))) from changed p);
  else
    found_words := array(
      select distinct pg_catalog.unnest(pg_catalog.tsvector_to_array(pg_catalog.to_tsvector(
        'pg_catalog.simple', p.name || ' ' || p.search_names || ' ' || coalesce(p.description, ''))))
      from changed p join previous o on o.id = p.id
      where (p.name, p.search_names, p.description) is distinct from (o.name, o.search_names, o.description));
  end if;
  with added as (
    insert into private.search_words (word, stem)
    select w.word, pg_catalog.to_tsvector('pg_catalog.english', w.word)
    from pg_catalog.unnest(found_words) w (word)
    where w.word ~ '^[[:alpha:]]{4,40}$'
      and not exists (select from private.search_words s where s.word = w.word)
    on conflict do nothing
    returning word
  )
  insert into private.search_variants (variant, word)
  select v, a.word from added a cross join lateral private.word_variants(a.word) v
  on conflict do nothing;
  return null;
end
$$;

create or replace trigger products_search_words_inserted after insert on public.products
  referencing new table as changed
  for each statement execute function private.index_search_words();
create or replace trigger products_search_words_updated after update on public.products
  referencing new table as changed old table as previous
  for each statement execute function private.index_search_words();

create or replace function private.search_query(p_search text) returns tsquery
language plpgsql stable security definer
set search_path = ''
as $$
declare
  found_word text;
  term tsquery;
  result tsquery;
begin
  for found_word in
    select w.word from pg_catalog.unnest(pg_catalog.string_to_array(
      pg_catalog.regexp_replace(lower(p_search), '[^[:alnum:]]+', ' ', 'g'), ' ')) w (word)
    where w.word <> '' limit 16
  loop
    term := pg_catalog.plainto_tsquery('pg_catalog.english', found_word);
    continue when pg_catalog.numnode(term) = 0;  -- a stop word
    -- Only a word of five letters or more that no product uses is corrected: to all known words one edit away.
    if char_length(found_word) >= 5
      and not exists (select from private.search_words s where s.word = found_word)
      and not exists (select from private.search_words s where s.stem @@ term)
    then
      select coalesce(
        term || pg_catalog.to_tsquery('pg_catalog.english', pg_catalog.string_agg(distinct v.word, ' | ')), term)
      into term
      from private.search_variants v
      where v.variant in (select private.word_variants(found_word))
        and char_length(v.word) between char_length(found_word) - 1 and char_length(found_word) + 1;
    end if;
    result := case when result is null then term else result && term end;
  end loop;
  return coalesce(result, ''::tsquery);
end
$$;
comment on function private.search_query(text) is
  'What to match against products.search: all words, each stemmed; an unknown word of 5+ letters may have one typo.';

revoke all on function private.index_search_words(), private.word_variants(text) from public;
grant execute on function private.category_tree(text), private.category_subtree(uuid), private.search_query(text)
  to anon, authenticated, service_role;
