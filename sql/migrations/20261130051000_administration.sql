-- What administrators decide of the catalogue, and imports keep.

alter table public.products
  add column edited text[] not null default '{}';
alter table public.products
  add constraint products_edited_known
    check (edited <@ array['name', 'description', 'category', 'brand', 'tags', 'image', 'unpublished']) not valid;
comment on column public.products.edited is
  'What an administrator set, so that imports leave it; unpublished: they do not bring the product back either.';
-- squawk-ignore require-concurrent-index-creation
create index products_edited_idx on public.products (retailer_id, external_id) where edited <> '{}';

create table private.earlier_names (
  id uuid default private.uuid_v7() constraint earlier_names_pkey primary key,
  kind text not null,
  parent_id uuid,
  name text not null,
  target_id uuid not null,
  constraint earlier_names_key unique nulls not distinct (kind, parent_id, name),
  constraint earlier_names_kind check (kind in ('brand', 'category', 'retailer'))
);
comment on table private.earlier_names is
  'What brands, categories and retailers were called, and where categories stood: feeds still say so. Kept by triggers.';
alter table private.earlier_names enable row level security;
