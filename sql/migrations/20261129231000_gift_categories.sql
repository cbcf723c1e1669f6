-- A taxonomy of gifts that personality and rules read, whatever categories a shop has.

create table public.gift_categories (
  id uuid default private.uuid_v7() constraint gift_categories_pkey primary key,
  parent_id uuid constraint gift_categories_parent_id_fkey references public.gift_categories (id) on delete restrict,
  slug text not null constraint gift_categories_slug_key unique,
  name text not null,
  google_ids integer[] not null default '{}',
  position smallint not null default 0,
  source text not null default 'admin',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint gift_categories_slug_format check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint gift_categories_not_own_parent check (parent_id <> id),
  constraint gift_categories_source check (source in ('reference', 'admin'))
);
create index gift_categories_parent_id_idx on public.gift_categories (parent_id);
comment on table public.gift_categories is
  'What kinds of gifts there are. Loaded from catalogue/reference; source: who wrote the row last.';
comment on column public.gift_categories.google_ids is 'Numbers of Google''s product taxonomy that mean this.';

alter table public.categories
  add column taxonomy_id uuid constraint categories_taxonomy_id_fkey
    references public.gift_categories (id) on delete set null,
  add column taxonomy_source text constraint categories_taxonomy_source
    check (taxonomy_source in ('rule', 'feed', 'google', 'admin'));
create index categories_taxonomy_id_idx on public.categories (taxonomy_id);
comment on column public.categories.taxonomy_id is 'The kind of gift that the shop''s category holds; null: not known.';
comment on column public.categories.taxonomy_source is
  'What chose it: private.category_rules, a feed''s mapping, Google numbers of its products, or an administrator.';

create table private.category_rules (
  pattern text constraint category_rules_pkey primary key,
  taxonomy_id uuid not null constraint category_rules_taxonomy_id_fkey
    references public.gift_categories (id) on delete cascade,
  priority smallint not null default 2,
  source text not null default 'admin',
  like_pattern text not null generated always as (
    case when pattern like '*%' then '%' else '%-' end || trim(both '*' from pattern)
    || case when pattern like '%*' then '%' else '-%' end) stored,
  constraint category_rules_pattern_format check (pattern ~ '^\*?[a-z0-9]+(-[a-z0-9]+)*\*?$'),
  constraint category_rules_priority_range check (priority between 1 and 3),
  constraint category_rules_source check (source in ('reference', 'admin'))
);
create index category_rules_taxonomy_id_idx on private.category_rules (taxonomy_id);
comment on table private.category_rules is
  'Words of a shop''s category, in kebab-case, and the gift category they mean. * at an end: the word may go on.';
comment on column private.category_rules.priority is '1: only where nothing else is known; 3: before all others.';

create table private.gift_prices (
  taxonomy_id uuid not null constraint gift_prices_taxonomy_id_fkey
    references public.gift_categories (id) on delete cascade,
  currency char(3) not null constraint gift_prices_currency_fkey
    references public.currencies (code) on delete cascade,
  median_minor bigint not null,
  constraint gift_prices_pkey primary key (taxonomy_id, currency)
);
create index gift_prices_currency_idx on private.gift_prices (currency);
comment on table private.gift_prices is 'The median price of what can be bought of a kind; private.refresh_model() writes it.';

create trigger gift_categories_updated_at before update on public.gift_categories
  for each row execute function public.update_updated_at_column();

-- Enabled at once, so that no table is ever open; the policies follow.
alter table public.gift_categories enable row level security;
alter table private.category_rules enable row level security;
alter table private.gift_prices enable row level security;
