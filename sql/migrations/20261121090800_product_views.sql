-- Products looked at. Many rows, so partitioned by month on the id: a UUIDv7 carries its time. The client chooses the
-- id, which makes a repeat harmless.

create table public.product_views (
  user_id uuid not null default auth.uid()
    constraint product_views_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null,
  product_id uuid not null constraint product_views_product_id_fkey references public.products (id) on delete cascade,
  session_id uuid,
  source_page text,
  view_duration_seconds integer,
  view_timestamp timestamptz not null default now(),
  constraint product_views_pkey primary key (user_id, id),
  constraint product_views_source_page_length check (char_length(source_page) <= 200),
  constraint product_views_duration_range check (view_duration_seconds between 0 and 86400)
) partition by range (id);
create index product_views_user_time_idx on public.product_views (user_id, view_timestamp desc);
create index product_views_product_id_idx on public.product_views (product_id);

create table public.product_views_default partition of public.product_views default;
comment on table public.product_views_default is 'Stays empty while private.ensure_partitions() runs in time.';
alter table public.product_views_default enable row level security;
