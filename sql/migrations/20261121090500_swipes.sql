-- What people swiped: events, the current signal per product, and the preferences that follow.

create table public.swipes (
  user_id uuid not null default auth.uid()
    constraint swipes_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  client_swipe_id text not null,
  product_id uuid not null constraint swipes_product_id_fkey references public.products (id) on delete cascade,
  session_id uuid,
  direction public.swipe_direction not null,
  preference_strength real generated always as (
    case direction when 'left' then 0.2 when 'right' then 0.8 when 'up' then 0.95 end
  ) stored,
  recommendation_id uuid,
  interaction_context jsonb,
  created_at timestamptz not null default clock_timestamp(),
  undone_at timestamptz,
  constraint swipes_pkey primary key (user_id, id),
  constraint swipes_recommendation_fkey foreign key (user_id, recommendation_id)
    references public.recommendations (user_id, id) on delete set null (recommendation_id),
  constraint swipes_user_id_client_swipe_id_key unique (user_id, client_swipe_id),
  constraint swipes_client_swipe_id_length check (char_length(client_swipe_id) between 1 and 200),
  constraint swipes_interaction_context_size check (octet_length(interaction_context::text) <= 8192)
);
comment on table public.swipes is 'Events: never changed, but for undone_at.';
comment on column public.swipes.preference_strength is 'Dislike .2, like .8, super-like .95; a skip (down) says nothing.';
create index swipes_user_product_idx on public.swipes (user_id, product_id, created_at desc, id desc);
create index swipes_user_created_at_idx on public.swipes (user_id, created_at desc, id desc);
create index swipes_recommendation_id_idx on public.swipes (user_id, recommendation_id);
create index swipes_product_id_idx on public.swipes (product_id);

create table public.product_signals (
  user_id uuid not null default auth.uid()
    constraint product_signals_user_id_fkey references public.profiles (id) on delete cascade,
  product_id uuid not null constraint product_signals_product_id_fkey references public.products (id) on delete cascade,
  swipe_id uuid not null,
  direction public.swipe_direction not null,
  preference_strength real,
  swiped_at timestamptz not null,
  constraint product_signals_pkey primary key (user_id, product_id),
  constraint product_signals_swipe_fkey
    foreign key (user_id, swipe_id) references public.swipes (user_id, id) on delete cascade
);
comment on table public.product_signals is
  'The newest swipe per person and product that was not undone; written by private.sync_signals().';
create index product_signals_swipe_id_idx on public.product_signals (user_id, swipe_id);
create index product_signals_product_id_idx on public.product_signals (product_id) include (preference_strength);

create table public.user_preferences (
  user_id uuid not null default auth.uid()
    constraint user_preferences_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  category_preferences jsonb not null default '[]',
  brand_preferences jsonb not null default '[]',
  style_preferences jsonb not null default '[]',
  min_price_minor bigint,
  max_price_minor bigint,
  price_currency char(3) constraint user_preferences_price_currency_fkey
    references public.currencies (code) on delete restrict,
  total_swipes integer not null default 0,
  right_swipes integer not null default 0,
  confidence double precision not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint user_preferences_pkey primary key (user_id, id),
  constraint user_preferences_user_id_key unique (user_id),
  constraint user_preferences_confidence_range check (confidence between 0 and 1),
  constraint user_preferences_counts check (right_swipes between 0 and total_swipes)
);
comment on column public.user_preferences.category_preferences is
  'Strongest first: [{"slug", "name", "score"}], score -1..1.';
create index user_preferences_price_currency_idx on public.user_preferences (price_currency);

create trigger user_preferences_updated_at before update on public.user_preferences
  for each row execute function public.update_updated_at_column();
