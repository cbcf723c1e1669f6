-- Which kinds of gifts suit an occasion, a relationship or an age: feeds of shops have no tags that rules could name.

alter table public.gift_context_rules
  add column source text not null default 'reference'
  constraint gift_context_rules_source check (source in ('reference', 'admin'));
alter table public.gift_context_rules alter column source set default 'admin';

create table public.gift_context_categories (
  kind text not null,
  value text not null,
  taxonomy_id uuid not null constraint gift_context_categories_taxonomy_id_fkey
    references public.gift_categories (id) on delete cascade,
  weight numeric(3, 2) not null,
  source text not null default 'admin',
  constraint gift_context_categories_pkey primary key (kind, value, taxonomy_id),
  constraint gift_context_categories_kind check (kind in ('occasion', 'relationship', 'age')),
  constraint gift_context_categories_weight_range check (weight between -1 and 1),
  constraint gift_context_categories_source check (source in ('reference', 'admin'))
);
create index gift_context_categories_taxonomy_id_idx on public.gift_context_categories (taxonomy_id);
comment on table public.gift_context_categories is
  'Which gift categories, with those below them, suit an occasion, a relationship or an age band in the gift finder.';
alter table public.gift_context_categories enable row level security;
