-- Tracked links: the intent to buy and each hit of its link.

create table public.affiliate_clicks (
  user_id uuid not null constraint affiliate_clicks_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  product_id uuid not null constraint affiliate_clicks_product_id_fkey
    references public.products (id) on delete cascade,
  retailer_id uuid constraint affiliate_clicks_retailer_id_fkey
    references public.retailers (id) on delete set null,
  session_id uuid,
  recommendation_id uuid,
  source_page text,
  campaign text,
  affiliate_network text,
  click_parameter text,
  affiliate_url text not null,
  price_minor bigint not null,
  currency char(3) not null constraint affiliate_clicks_currency_fkey
    references public.currencies (code) on delete restrict,
  commission_rate numeric(5, 4),
  expected_commission_minor bigint,
  actual_commission_minor bigint,
  click_timestamp timestamptz not null default now(),
  constraint affiliate_clicks_pkey primary key (user_id, id),
  constraint affiliate_clicks_recommendation_fkey foreign key (user_id, recommendation_id)
    references public.recommendations (user_id, id) on delete set null (recommendation_id),
  constraint affiliate_clicks_affiliate_url_https check (affiliate_url ~ '^https://'),
  constraint affiliate_clicks_source_page_length check (char_length(source_page) <= 200),
  constraint affiliate_clicks_campaign_length check (char_length(campaign) <= 200),
  constraint affiliate_clicks_commission_rate_range check (commission_rate between 0 and 1)
);
comment on table public.affiliate_clicks is
  'A click with what the offer said at that moment; written only by private.create_affiliate_click().';
create index affiliate_clicks_id_idx on public.affiliate_clicks (id);
create index affiliate_clicks_user_time_idx on public.affiliate_clicks (user_id, click_timestamp desc, id desc);
create index affiliate_clicks_product_id_idx on public.affiliate_clicks (product_id);
create index affiliate_clicks_retailer_id_idx on public.affiliate_clicks (retailer_id);
create index affiliate_clicks_recommendation_idx on public.affiliate_clicks (user_id, recommendation_id);
create index affiliate_clicks_currency_idx on public.affiliate_clicks (currency);

create table public.affiliate_redirects (
  user_id uuid not null,
  id uuid not null default private.uuid_v7(),
  click_id uuid not null,
  user_agent text,
  redirected_at timestamptz not null default now(),
  constraint affiliate_redirects_pkey primary key (user_id, id),
  constraint affiliate_redirects_click_fkey foreign key (user_id, click_id)
    references public.affiliate_clicks (user_id, id) on delete cascade
);
create index affiliate_redirects_click_idx on public.affiliate_redirects (user_id, click_id);
