-- Of a long description its beginning is indexed, so that imports of long texts take no longer with each page of terms and
-- care instructions, and these do not find products. Long ones that are stored are indexed again.

create or replace function private.search_beginning(p_description text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case
  when octet_length(p_description) <= 2000 then p_description
  when char_length(p_description) <= 2000 then p_description
  -- To the end of a word: half of one would be indexed, and offered as a correction. A run of 100 signs without a blank,
  -- as in Chinese, is cut.
  else left(p_description, 1900)
    || coalesce(nullif(regexp_replace(substr(p_description, 1901, 101), '\S*$', ''), ''), substr(p_description, 1901, 100))
end;
comment on function private.search_beginning(text) is 'What of a description is indexed: its first 2,000 characters, in whole words.';

create or replace function private.product_search(p_name text, p_search_names text, p_description text)
returns tsvector
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return private.search_vector(p_name, 'A', true)
  || format('''%s'':1A', private.search_name(p_name))::tsvector
  || private.search_vector(p_search_names, 'B', true)
  || private.search_vector(private.search_beginning(coalesce(p_description, '')), 'C', false);

-- It returns what it did before, in less time for texts with a few signs that are not ASCII, and for other scripts.
create or replace function private.search_vector(p_text text, p_weight "char", p_literally boolean) returns tsvector
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  is_ascii constant boolean := octet_length(p_text) = char_length(p_text);
  unsigned text;
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
    -- Signs that texts in English have beside ASCII are between words.
    unsigned := replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(p_text,
      '’', ' '), '‘', ' '), '–', ' '), '—', ' '), '“', ' '), '”', ' '), '…', ' '), '•', ' '), '£', ' '), U&'\00A0', ' ');
    if octet_length(unsigned) = char_length(unsigned) then
      plain := private.search_normal(unsigned);
      other := '';
    else
      plain := private.search_normal(p_text);
      other := coalesce(private.search_normal(nullif(private.search_spelled(p_text), normalize(p_text, nfc))), '');
    end if;
    if octet_length(plain) = char_length(plain) and octet_length(other) = char_length(other)
      and plain || ' ' || other !~ '[0-9]e[0-9]|[^ ]{255}'
    then
      if other = '' then
        return setweight(to_tsvector('pg_catalog.english', plain), p_weight);
      end if;
      return setweight(concat_ws(' ',
        to_tsvector('pg_catalog.english', plain)::text, to_tsvector('pg_catalog.english', other)::text)::tsvector, p_weight);
    end if;
    return (
      select coalesce(string_agg(format('''%s'':%s%s', lexeme, least(place, 16383), p_weight), ' '), '')::tsvector
      from (
        -- private.search_stem(), as a call for each word would take most of the time.
        select case when word ~ '^[a-z]+$' then (ts_lexize('pg_catalog.english_stem', word))[1] else word end as lexeme, place
        from (
          select left(p.word, 255) as word, p.place from unnest(string_to_array(plain, ' ')) with ordinality as p (word, place)
          union all
          select left(o.word, 255), o.place from unnest(string_to_array(other, ' ')) with ordinality as o (word, place)
        ) words
      ) lexemes
      where lexeme is not null);
  end if;
  return (
    with words as (
      select word, place from private.search_places(p_text)
      union
      select left(j.word, 255), j.place
      from unnest(string_to_array(private.search_normal(private.search_joined(p_text)), ' '))
        with ordinality as j (word, place)
    ), lexemes as (
      select private.search_stem(word) as lexeme, place from words
      union
      select word, place from words
    )
    select coalesce(string_agg(format('''%s'':%s%s', lexeme, least(place, 16383), p_weight), ' '), '')::tsvector
    from lexemes where lexeme is not null);
end
$$;

revoke all on function private.search_beginning(text) from public;

-- A trigger computes it.
update public.products set search = search where octet_length(description) > 2000 and char_length(description) > 2000;
