-- "Not because of this": what a person has taken out of their own ranking.

create table public.dismissed_reasons (
  user_id uuid not null default auth.uid()
    constraint dismissed_reasons_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  product_id uuid constraint dismissed_reasons_product_id_fkey references public.products (id) on delete cascade,
  category_id uuid constraint dismissed_reasons_category_id_fkey references public.categories (id) on delete cascade,
  brand_id uuid constraint dismissed_reasons_brand_id_fkey references public.brands (id) on delete cascade,
  tag text,
  trait text,
  kind text not null generated always as (case
    when product_id is not null then 'product' when category_id is not null then 'category'
    when brand_id is not null then 'brand' when tag is not null then 'tag' else 'trait' end) stored,
  key text not null generated always as (
    coalesce(product_id::text, category_id::text, brand_id::text, tag, trait)) stored,
  label text not null,
  dismissed_at timestamptz not null default clock_timestamp(),
  restored_at timestamptz,
  constraint dismissed_reasons_pkey primary key (user_id, id),
  constraint dismissed_reasons_one_source
    check (num_nonnulls(product_id, category_id, brand_id, tag, trait) = 1),
  constraint dismissed_reasons_trait
    check (trait in ('adventurous', 'intellectual', 'practical', 'creative', 'social')),
  constraint dismissed_reasons_tag_length check (char_length(tag) between 1 and 1000),
  constraint dismissed_reasons_label_length check (char_length(label) between 1 and 1000),
  constraint dismissed_reasons_restored_after check (restored_at >= dismissed_at)
);
comment on table public.dismissed_reasons is
  'Kept when restored: a feed that is being paged is ranked by what was dismissed when it started.';
comment on column public.dismissed_reasons.kind is 'product, category, brand, tag or trait: which of the columns is set.';
comment on column public.dismissed_reasons.key is 'The value of that column, as text.';
comment on column public.dismissed_reasons.label is 'For people: its name when it was dismissed.';
create unique index dismissed_reasons_current_key on public.dismissed_reasons (user_id, kind, key)
  where restored_at is null;
create index dismissed_reasons_user_time_idx on public.dismissed_reasons (user_id, dismissed_at desc, id desc);
create index dismissed_reasons_product_id_idx on public.dismissed_reasons (product_id);
create index dismissed_reasons_category_id_idx on public.dismissed_reasons (category_id);
create index dismissed_reasons_brand_id_idx on public.dismissed_reasons (brand_id);
