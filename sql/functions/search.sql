-- What a search text means, in terms of what is indexed: 20261129170000_search.sql.

create or replace function private.search_quoted(p_lexeme text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return '''' || p_lexeme || '''';

-- In PL/pgSQL, which keeps its plans: planning this for each word took longer than the rest of a search.
create or replace function private.search_corrections(p_word text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Only a word of five letters or more that no product uses is corrected: to all known words one edit away.
  if p_word !~ '^[^0-9]{5,}$'
    or exists (select from private.search_words s where s.word = p_word)
    or exists (select from private.search_words s
      where s.stem @@ private.search_quoted(coalesce(private.search_stem(p_word), p_word))::tsquery)
  then
    return null;
  end if;
  return (
    select pg_catalog.string_agg(distinct private.search_quoted(coalesce(private.search_stem(v.word), v.word)), ' | ')
    from private.search_variants v
    where v.variant = any (array(select private.word_variants(p_word)))  -- by the index, whatever the statistics say
      and pg_catalog.char_length(v.word) between pg_catalog.char_length(p_word) - 1 and pg_catalog.char_length(p_word) + 1
  );
end
$$;
comment on function private.search_corrections(text) is
  'What a mistyped word may have meant, as a tsquery; null where it is known, or nothing is near.';

create or replace function private.search_phrase(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
begin atomic
  with words as (
    select place, string_agg(distinct private.search_quoted(coalesce(private.search_stem(word), word)), ' | ') as term,
      bool_and(private.search_stem(word) is null) as is_stop
    from private.search_places(p_text) group by place
  ), chosen as (
    select term, place - lag(place) over (order by place) as distance, place from words
    where not is_stop or not exists (select from words where not is_stop)
  )
  select string_agg(coalesce(' <' || distance || '> ', '') || '(' || term || ')', '' order by place) from chosen;
end;
comment on function private.search_phrase(text) is
  'The words of a text one after another, as a tsquery; stop words count as places, unless there is nothing else.';

create or replace function private.search_query(p_search text) returns tsquery
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  max_words constant integer := 16;
  typed constant text := pg_catalog.translate(p_search, '“”„‟«»−', '""""""-');
  part record;
  word record;
  joined text;
  sought text[];  -- of this part
  fillers text[];
  all_sought text[] := '{}';
  all_fillers text[] := '{}';
  excluded text[] := '{}';
begin
  for part in
    select m[1] = '-' as is_minus, m[2] as phrase, m[3] as chunk, n = pg_catalog.max(n) over () as is_last
    from pg_catalog.regexp_matches(typed, '(-?)"([^"]+)"|(\S+)', 'g') with ordinality as p (m, n)
    order by n limit max_words
  loop
    if part.is_minus and private.search_normal(part.phrase) <> '' then
      excluded := excluded || ('!(' || private.search_phrase(part.phrase) || ')');
    elsif part.chunk like '-%' and private.search_normal(pg_catalog.substr(part.chunk, 2, 1)) ~ '^[^0-9]' then
      excluded := excluded || ('!(' || private.search_phrase(part.chunk) || ')');
    elsif part.phrase is not null then
      all_sought := all_sought || private.search_phrase(part.phrase);
    else
      sought := '{}';
      fillers := '{}';
      for word in
        select pg_catalog.bool_and(private.search_stem(w.word) is null) as is_stop,
          pg_catalog.string_agg(pg_catalog.concat_ws(' | ',
            private.search_quoted(coalesce(private.search_stem(w.word), w.word)),
            -- Not of a single letter, which begins half of all words; a single sign of Chinese is one.
            case when part.is_last and w.is_last and pg_catalog.octet_length(w.word) > 1
              then private.search_quoted(w.word) || ':*' end,
            private.search_corrections(w.word)), ' | ') as term
        from (select *, place = pg_catalog.max(place) over () as is_last from private.search_places(part.chunk)) w
        group by w.place order by w.place limit max_words
      loop
        if word.is_stop then
          fillers := fillers || ('(' || word.term || ')');
        else
          sought := sought || ('(' || word.term || ')');
        end if;
      end loop;
      joined := private.search_normal(private.search_joined(part.chunk));
      if pg_catalog.cardinality(sought) + pg_catalog.cardinality(fillers) > 1 and pg_catalog.strpos(joined, ' ') = 0 then
        sought := array['(' || pg_catalog.concat_ws(' | ', nullif(pg_catalog.array_to_string(sought, ' & '), ''),
          private.search_quoted(coalesce(private.search_stem(joined), joined))) || ')'];
        fillers := '{}';
      end if;
      all_sought := all_sought || sought;
      all_fillers := all_fillers || fillers;
    end if;
    exit when pg_catalog.cardinality(all_sought) + pg_catalog.cardinality(all_fillers) >= max_words;
  end loop;
  if pg_catalog.cardinality(all_sought) = 0 then
    all_sought := all_fillers;
  end if;
  if pg_catalog.cardinality(all_sought) = 0 then
    excluded := '{}';  -- there is nothing to leave them out of
  end if;
  return pg_catalog.concat_ws(' | ', private.search_quoted(private.search_name(left(p_search, 500))),
    '(' || nullif(pg_catalog.array_to_string(all_sought || excluded, ' & '), '') || ')')::tsquery;
end
$$;
comment on function private.search_query(text) is
  'What to match against products.search: a whole name; or all words, each stemmed, the last as a prefix; an unknown '
  'word of 5+ letters may have one typo; "a phrase"; -without.';

create or replace function private.search_rank(p_search tsvector, p_query tsquery) returns real
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return ts_rank(p_search, p_query)
  + case when p_search @@ substring(p_query::text from '''=[0-9a-f]{32}''')::tsquery then 1 else 0 end;
comment on function private.search_rank(tsvector, tsquery) is
  'How well a product matches, 0..2: one whose name is the whole query comes first.';

grant execute on function private.search_query(text), private.search_rank(tsvector, tsquery)
  to anon, authenticated, service_role;
