-- Variants: products that differ by size or colour only. sql/functions/item_groups.sql keeps the group of each product.

create table private.variant_words (
  kind text not null,
  language text not null,
  words text[] not null,
  source text not null default 'admin',
  constraint variant_words_pkey primary key (kind, language),
  constraint variant_words_kind
    check (kind in ('colour', 'shade', 'size', 'scale', 'unit', 'count', 'different')),
  constraint variant_words_language check (language in ('en', 'de')),
  constraint variant_words_plain
    check (cardinality(words) between 1 and 1000
    and array_to_string(words, '|', '*') ~ '^[[:alpha:]]([ -]?[[:alpha:]])*(\|[[:alpha:]]([ -]?[[:alpha:]])*)*$'),
  constraint variant_words_source check (source in ('reference', 'admin'))
);
comment on table private.variant_words is
  'Words in the names of products that tell variants apart; different: phrases that are a thing of their own.';
alter table private.variant_words enable row level security;

alter table public.products add column if not exists item_group text;
comment on column public.products.item_group is
  'The shop''s own key of a product with variants, which its variants share; unique within the shop.';
alter table public.products add column item_group_key bigint;
comment on column public.products.item_group_key is
  'The same for all variants of a product, and of no other; set by a trigger.';
