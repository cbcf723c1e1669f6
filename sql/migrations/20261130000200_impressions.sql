-- Recommendations that were on a screen. Many rows, so partitioned by month on the id, which is a UUIDv7 of the client.

create table public.impressions (
  user_id uuid not null default auth.uid()
    constraint impressions_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null,
  product_id uuid not null constraint impressions_product_id_fkey references public.products (id) on delete cascade,
  recommendation_context text not null,
  model_version integer not null,
  arm integer not null,
  propensity real not null,
  position integer not null,
  shown_at timestamptz not null,
  duration_ms integer,
  constraint impressions_pkey primary key (user_id, id),
  constraint impressions_context check (recommendation_context in ('discover', 'gift_finder', 'similar')),
  constraint impressions_arm_range check (arm >= 0),
  constraint impressions_propensity_range check (propensity > 0 and propensity <= 1),
  constraint impressions_position_range check (position between 1 and 10000),
  constraint impressions_duration_range check (duration_ms between 0 and 86400000)
) partition by range (id);
comment on table public.impressions is
  'Recommendations as clients say that they were shown. What was shown is from the signed id; position and times are the client''s.';
comment on column public.impressions.position is 'From 1, in the feed or list.';
comment on column public.impressions.arm is 'experiment_arms.number; 0: of no experiment.';
create index impressions_product_id_idx on public.impressions (product_id, user_id, shown_at);

create table public.impressions_default partition of public.impressions default;
comment on table public.impressions_default is 'Stays empty while private.ensure_partitions() runs in time.';
alter table public.impressions enable row level security;
alter table public.impressions_default enable row level security;
