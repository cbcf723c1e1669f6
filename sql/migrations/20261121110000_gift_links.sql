-- Gift links: a product that somebody shows to somebody else, who has no session. Their URL is the id and an HMAC, so
-- nothing secret stands here.

create table public.gift_links (
  user_id uuid not null default auth.uid()
    constraint gift_links_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  product_id uuid not null constraint gift_links_product_id_fkey references public.products (id) on delete cascade,
  message text,
  recipient_name text,
  occasion text,
  expires_at timestamptz,
  max_uses integer,
  clicks integer not null default 0,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  constraint gift_links_pkey primary key (user_id, id),
  constraint gift_links_message_length check (char_length(message) between 1 and 1000),
  constraint gift_links_recipient_name_length check (char_length(recipient_name) between 1 and 100),
  constraint gift_links_occasion_length check (char_length(occasion) between 1 and 100),
  constraint gift_links_max_uses_positive check (max_uses >= 1),
  constraint gift_links_clicks_range check (clicks >= 0 and clicks <= max_uses)
);
comment on column public.gift_links.clicks is 'Uses so far; counted only by private.use_gift_link().';
-- A use knows the link's id and not its maker.
create index gift_links_id_idx on public.gift_links (id);
create index gift_links_user_time_idx on public.gift_links (user_id, created_at desc, id desc);
create index gift_links_product_id_idx on public.gift_links (product_id);

-- The link that led to a click: its maker need not be who clicked. Deferrable, so that a person's rows can be given
-- to another profile in one transaction.
alter table public.affiliate_clicks add column gift_link_user_id uuid, add column gift_link_id uuid;
alter table public.affiliate_clicks add constraint affiliate_clicks_gift_link_fkey
  foreign key (gift_link_user_id, gift_link_id) references public.gift_links (user_id, id) match full
  on delete set null deferrable initially immediate not valid;
-- Both columns are null in every row, so that neither takes long.
-- squawk-ignore constraint-missing-not-valid
alter table public.affiliate_clicks validate constraint affiliate_clicks_gift_link_fkey;
-- squawk-ignore require-concurrent-index-creation
create index affiliate_clicks_gift_link_idx on public.affiliate_clicks (gift_link_user_id, gift_link_id);
