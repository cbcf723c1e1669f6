-- Search columns cost an import more than everything else it writes. These functions return what they did before, so nothing
-- that is stored changes; a test compares them with the ones of 20261129170000_search.sql.

create or replace function private.search_normal(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case
  -- A blank between two words is no match, so few are replaced.
  when octet_length(p_text) = char_length(p_text)
    then btrim(regexp_replace(lower(p_text collate "C"), ' ?[^a-z0-9 ][^a-z0-9]*|  [^a-z0-9]*', ' ', 'g'))
  else btrim(regexp_replace(private.search_fold(p_text),
  '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f\u0080-\u00a9\u00ab-\u00b1\u00b6-\u00b7\u00bb\u00bf\u00d7\u00f7'
  '\u02c2-\u02c5\u02d2-\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff\u0375\u03f6\u0482\u055a-\u055f'
  '\u0589-\u05c6\u05f3-\u061f\u066a-\u066d\u06d4\u06dd-\u06e9\u06fd-\u06fe\u0700-\u070f\u07f6-\u07f9'
  '\u07fe-\u07ff\u0830-\u083e\u085e\u0888\u0890-\u0891\u08e2\u0964-\u0965\u0970\u09f2-\u09f3'
  '\u09fa-\u09fb\u09fd\u0a76\u0af0-\u0af1\u0b70\u0bf3-\u0bfa\u0c77\u0c7f\u0c84\u0d4f\u0d79\u0df4\u0e3f'
  '\u0e4f\u0e5a-\u0e5b\u0f01-\u0f17\u0f1a-\u0f1f\u0f34\u0f36\u0f38\u0f3a-\u0f3d\u0f85\u0fbe-\u0fc5'
  '\u0fc7-\u0fda\u104a-\u104f\u109e-\u109f\u10fb\u1360-\u1368\u1390-\u1399\u1400\u166d-\u166e\u1680'
  '\u169b-\u169c\u16eb-\u16ed\u1735-\u1736\u17d4-\u17d6\u17d8-\u17db\u1800-\u180a\u1940-\u1945'
  '\u19de-\u19ff\u1a1e-\u1a1f\u1aa0-\u1aa6\u1aa8-\u1aad\u1b5a-\u1b6a\u1b74-\u1b7e\u1bfc-\u1bff'
  '\u1c3b-\u1c3f\u1c7e-\u1c7f\u1cc0-\u1cc7\u1cd3\u2010-\u205e\u20a0-\u20c0\u2104\u2108\u2114'
  '\u2117-\u2118\u211e-\u2123\u2125\u2127\u2129\u212e\u213a\u2141-\u2144\u214a-\u214d\u214f'
  '\u218a-\u244a\u2500-\u2775\u2794-\u2bff\u2ce5-\u2cea\u2cf9-\u2cfc\u2cfe-\u2cff\u2d70\u2e00-\u2e2e'
  '\u2e30-\u3004\u3008-\u3020\u3030\u3037\u303d-\u303f\u30a0\u30fb\u3190-\u3191\u31c0-\u31e3\u327f'
  '\u4dc0-\u4dff\ua490-\ua4c6\ua4fe-\ua4ff\ua60d-\ua60f\ua673\ua67e\ua6f2-\ua716\ua720-\ua721'
  '\ua789-\ua78a\ua828-\ua82b\ua836-\ua839\ua874-\ua877\ua8ce-\ua8cf\ua8f8-\ua8fa\ua8fc\ua92e-\ua92f'
  '\ua95f\ua9c1-\ua9cd\ua9de-\ua9df\uaa5c-\uaa5f\uaa77-\uaa79\uaade-\uaadf\uaaf0-\uaaf1\uab5b'
  '\uab6a-\uab6b\uabeb\ufbb2-\ufbc2\ufd3e-\ufd4f\ufdcf\ufdfd-\ufe46\ufff9-\ufffd\U0001f000-\U0001faff]+',
  ' ', 'g'))
end;

create or replace function private.search_unmarked(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return case
  when octet_length(p_text) = char_length(p_text) then lower(p_text collate "C")
  else regexp_replace(private.search_fold(p_text),
    '[\u0711\u0730-\u074a\u07a6-\u07b0\u07eb-\u07f3\u07fd\u0816-\u0819\u081b-\u0823\u0825-\u0827'
    '\u0829-\u082d\u0859-\u085b\u0898-\u089f\u08ca-\u08e1\u08e3-\u0902\u093a\u093c\u0941-\u0948\u094d'
    '\u0951-\u0957\u0962-\u0963\u0981\u09bc\u09c1-\u09c4\u09cd\u09e2-\u09e3\u09fe-\u0a02\u0a3c'
    '\u0a41-\u0a51\u0a70-\u0a71\u0a75\u0a81-\u0a82\u0abc\u0ac1-\u0ac8\u0acd\u0ae2-\u0ae3\u0afa-\u0b01'
    '\u0b3c\u0b3f\u0b41-\u0b44\u0b4d-\u0b56\u0b62-\u0b63\u0b82\u0bc0\u0bcd\u0c00\u0c04\u0c3c\u0c3e-\u0c40'
    '\u0c46-\u0c56\u0c62-\u0c63\u0c81\u0cbc\u0cbf\u0cc6\u0ccc-\u0ccd\u0ce2-\u0ce3\u0d00-\u0d01'
    '\u0d3b-\u0d3c\u0d41-\u0d44\u0d4d\u0d62-\u0d63\u0d81\u0dca\u0dd2-\u0dd6\u0e31\u0e34-\u0e3a'
    '\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u0f18-\u0f19\u0f35\u0f37\u0f39\u0f71-\u0f7e'
    '\u0f80-\u0f84\u0f86-\u0f87\u0f8d-\u0fbc\u0fc6\u102d-\u1030\u1032-\u1037\u1039-\u103a\u103d-\u103e'
    '\u1058-\u1059\u105e-\u1060\u1071-\u1074\u1082\u1085-\u1086\u108d\u109d\u135d-\u135f\u1712-\u1714'
    '\u1732-\u1733\u1752-\u1753\u1772-\u1773\u17b4-\u17b5\u17b7-\u17bd\u17c6\u17c9-\u17d3\u17dd'
    '\u1885-\u1886\u18a9\u1920-\u1922\u1927-\u1928\u1932\u1939-\u193b\u1a17-\u1a18\u1a1b\u1a56'
    '\u1a58-\u1a60\u1a62\u1a65-\u1a6c\u1a73-\u1a7f\u1b00-\u1b03\u1b34\u1b36-\u1b3a\u1b3c\u1b42'
    '\u1b6b-\u1b73\u1b80-\u1b81\u1ba2-\u1ba5\u1ba8-\u1ba9\u1bab-\u1bad\u1be6\u1be8-\u1be9\u1bed'
    '\u1bef-\u1bf1\u1c2c-\u1c33\u1c36-\u1c37\u1cd0-\u1cd2\u1cd4-\u1ce0\u1ce2-\u1ce8\u1ced\u1cf4'
    '\u1cf8-\u1cf9\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u302d\u3099-\u309a\ua66f\ua674-\ua67d'
    '\ua69e-\ua69f\ua6f0-\ua6f1\ua802\ua806\ua80b\ua825-\ua826\ua82c\ua8c4-\ua8c5\ua8e0-\ua8f1\ua8ff'
    '\ua926-\ua92d\ua947-\ua951\ua980-\ua982\ua9b3\ua9b6-\ua9b9\ua9bc-\ua9bd\ua9e5\uaa29-\uaa2e'
    '\uaa31-\uaa32\uaa35-\uaa36\uaa43\uaa4c\uaa7c\uaab0\uaab2-\uaab4\uaab7-\uaab8\uaabe-\uaabf\uaac1'
    '\uaaec-\uaaed\uaaf6\uabe5\uabe8\uabed\ufb1e]+',
  '', 'g')
end;

create or replace function private.search_vector(p_text text, p_weight "char", p_literally boolean) returns tsvector
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  is_ascii constant boolean := octet_length(p_text) = char_length(p_text);
  plain text;
  joined text;
begin
  -- Of folded ASCII words Postgres' parser makes the same ones in a fraction of the time, but for two kinds: it knows no words
  -- beyond 2 kB, and takes 12e3 for a number, whatever follows.
  if is_ascii and not p_literally then
    return setweight(to_tsvector('pg_catalog.english', private.search_normal(p_text)), p_weight);
  end if;
  if is_ascii and octet_length(p_text) < 256 then
    plain := private.search_normal(p_text);
    joined := case when p_text ~ '[''.&/+-]' then private.search_normal(private.search_joined(p_text)) else '' end;
    if plain || ' ' || joined !~ '[0-9]e[0-9]' then
      -- As text, because || would shift the places of the second.
      return setweight(concat_ws(' ',
        to_tsvector('pg_catalog.english', plain)::text, to_tsvector('pg_catalog.simple', plain)::text,
        to_tsvector('pg_catalog.english', joined)::text, to_tsvector('pg_catalog.simple', joined)::text)::tsvector, p_weight);
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
