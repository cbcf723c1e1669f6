-- What completes a text that somebody is typing: the words of products' names, and of brands, categories and tags.

-- Its results are stored: changing it is a new migration, which computes them again.
create or replace function private.suggest_words(p_text text) returns text
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
return btrim(left(concat_ws(' ',
  nullif(private.search_normal(p_text), ''),
  case when octet_length(p_text) <> char_length(p_text)
    then nullif(nullif(private.search_normal(private.search_spelled(p_text)), private.search_normal(p_text)), '') end,
  case when p_text ~ '[''’.&/+‐‑-]'
    then nullif(nullif(private.search_normal(private.search_joined(p_text)), private.search_normal(p_text)), '') end),
  200));
comment on function private.suggest_words(text) is
  'The words of a text, in each of their spellings (koeln and koln, wifi and wi fi); at most 200 characters, which an '
  'index can hold.';
revoke all on function private.suggest_words(text) from public;

create table private.suggestions (
  kind text not null,
  key text not null,
  words text collate "C" not null,
  products integer not null default 1,
  constraint suggestions_pkey primary key (key, kind),
  constraint suggestions_kind check (kind in ('brand', 'category', 'tag')),
  constraint suggestions_products_positive check (products > 0)
);
comment on table private.suggestions is
  'Brands, categories (key: the id) and tags that have products in the catalogue; private.refresh_suggestions() counts.';
comment on column private.suggestions.products is
  'How many there were when they were last counted, of a category with those below it: the order of suggestions.';
create index suggestions_products_idx on private.suggestions (kind, products desc, key) include (words);
-- The kind is a word that none is typed as.
create index suggestions_words_idx on private.suggestions
  using gin (array_to_tsvector(array_append(string_to_array(words, ' '), '=' || kind)));
alter table private.suggestions enable row level security;

alter table public.products add column if not exists name_words text collate "C";
comment on column public.products.name_words is
  'The words of its name for suggestions, kept by a trigger; null only until that has seen the row.';

update public.products set name_words = private.suggest_words(name);
