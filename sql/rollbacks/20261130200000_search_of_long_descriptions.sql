-- Whole descriptions are indexed again.

create or replace function private.product_search(p_name text, p_search_names text, p_description text)
returns tsvector
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return private.search_vector(p_name, 'A', true)
  || format('''%s'':1A', private.search_name(p_name))::tsvector
  || private.search_vector(p_search_names, 'B', true)
  || private.search_vector(coalesce(p_description, ''), 'C', false);

create or replace function private.search_vector(p_text text, p_weight "char", p_literally boolean) returns tsvector
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  is_ascii constant boolean := octet_length(p_text) = char_length(p_text);
  plain text;
  other text;  -- the words joined, or spelled otherwise
begin
  -- Of folded ASCII words Postgres' parser makes the same ones in a fraction of the time, but for two kinds: it knows no words
  -- beyond 2 kB, and takes 12e3 for a number, whatever follows.
  if is_ascii and not p_literally then
    return setweight(to_tsvector('pg_catalog.english', private.search_normal(p_text)), p_weight);
  end if;
  if is_ascii and octet_length(p_text) < 256 then
    plain := private.search_normal(p_text);
    other := case when p_text ~ '[''.&/+-]' then private.search_normal(private.search_joined(p_text)) else '' end;
    if plain || ' ' || other !~ '[0-9]e[0-9]' then
      -- As text, because || would shift the places of the second.
      return setweight(concat_ws(' ',
        to_tsvector('pg_catalog.english', plain)::text, to_tsvector('pg_catalog.simple', plain)::text,
        to_tsvector('pg_catalog.english', other)::text, to_tsvector('pg_catalog.simple', other)::text)::tsvector, p_weight);
    end if;
  elsif not p_literally then
    plain := private.search_normal(p_text);
    other := coalesce(private.search_normal(nullif(private.search_spelled(p_text), normalize(p_text, nfc))), '');
    if octet_length(plain) = char_length(plain) and octet_length(other) = char_length(other)
      and plain || ' ' || other !~ '[0-9]e[0-9]|[^ ]{255}'
    then
      return setweight(concat_ws(' ',
        to_tsvector('pg_catalog.english', plain)::text, to_tsvector('pg_catalog.english', other)::text)::tsvector, p_weight);
    end if;
  end if;
  return (
    with words as (
      select word, place from private.search_places(p_text)
      union
      select left(j.word, 255), j.place
      from unnest(string_to_array(private.search_normal(private.search_joined(p_text)), ' '))
        with ordinality as j (word, place)
      where p_literally
    ), lexemes as (
      select private.search_stem(word) as lexeme, place from words
      union
      select word, place from words where p_literally
    )
    select coalesce(string_agg(format('''%s'':%s%s', lexeme, least(place, 16383), p_weight), ' '), '')::tsvector
    from lexemes where lexeme is not null);
end
$$;

-- A trigger computes it. Words that only the rest of a description has are no corrections until it is written again.
update public.products set search = search where octet_length(description) > 2000 and char_length(description) > 2000;

-- The trigger that indexes words calls it, until the functions of the release before are applied.
drop function if exists private.search_beginning(text);
