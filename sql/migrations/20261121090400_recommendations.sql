-- The model a feed is ranked with, and what was shown and acted on.

create type public.swipe_direction as enum ('left', 'right', 'up', 'down');

create table public.recommendation_models (
  version integer generated always as identity constraint recommendation_models_pkey primary key,
  parameters jsonb not null,
  created_at timestamptz not null default now()
);
comment on table public.recommendation_models is
  'A feed''s cursor names its version; when the row is gone the cursor is stale.';

create table public.product_features (
  model_version integer not null constraint product_features_model_version_fkey
    references public.recommendation_models (version) on delete cascade,
  product_id uuid not null constraint product_features_product_id_fkey
    references public.products (id) on delete cascade,
  popularity real not null,
  adventurous real not null,
  intellectual real not null,
  practical real not null,
  creative real not null,
  social real not null,
  constraint product_features_pkey primary key (model_version, product_id)
);
comment on table public.product_features is
  'What a model knows of a product: popularity 0..1, and how it suits each trait, -1..1, at most 2 in absolute sum.';
create index product_features_product_id_idx on public.product_features (product_id);

create table public.gift_context_rules (
  kind text not null,
  value text not null,
  tag text not null,
  weight real not null,
  constraint gift_context_rules_pkey primary key (kind, value, tag),
  constraint gift_context_rules_kind check (kind in ('occasion', 'relationship', 'age')),
  constraint gift_context_rules_weight_range check (weight between -1 and 1)
);
comment on table public.gift_context_rules is 'Which tags suit an occasion, a relationship or an age band in the gift finder.';

create table public.recommendations (
  user_id uuid not null default auth.uid()
    constraint recommendations_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  product_id uuid not null constraint recommendations_product_id_fkey references public.products (id) on delete cascade,
  recommendation_context text not null,
  model_version integer not null,
  position integer not null,
  propensity real not null,
  score real not null,
  generated_at timestamptz not null,
  created_at timestamptz not null default now(),
  constraint recommendations_pkey primary key (user_id, id),
  constraint recommendations_shown_key unique (user_id, product_id, recommendation_context, generated_at),
  constraint recommendations_context check (recommendation_context in ('discover', 'gift_finder', 'similar')),
  constraint recommendations_propensity_range check (propensity > 0 and propensity <= 1),
  constraint recommendations_score_range check (score between 0 and 1)
);
comment on table public.recommendations is 'Recommendations that somebody acted on; written when their signed id comes back.';
create index recommendations_product_id_idx on public.recommendations (product_id);

create table public.personality_recommendations (
  user_id uuid not null default auth.uid()
    constraint personality_recommendations_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  product_id uuid not null constraint personality_recommendations_product_id_fkey
    references public.products (id) on delete cascade,
  personality_profile_id uuid not null,
  personality_match_score double precision not null,
  category_alignment_score double precision not null,
  behavioral_prediction double precision not null,
  combined_score double precision not null,
  recommendation_reasons jsonb not null default '[]',
  personality_factors jsonb not null default '{}',
  confidence_level double precision not null,
  is_shown boolean not null default false,
  is_swiped boolean not null default false,
  swipe_direction public.swipe_direction,
  is_purchased boolean not null default false,
  recommendation_context varchar(50) not null default 'discover',
  generated_at timestamptz not null default now(),
  shown_at timestamptz,
  interacted_at timestamptz,
  algorithm_version varchar(20) not null default '1.0',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint personality_recommendations_pkey primary key (user_id, id),
  constraint personality_recommendations_profile_fkey foreign key (user_id, personality_profile_id)
    references public.personality_profiles (user_id, id) on delete cascade,
  constraint unique_user_product_personality unique (user_id, product_id, personality_profile_id),
  constraint valid_personality_match check (personality_match_score >= 0.0 and personality_match_score <= 1.0),
  constraint valid_category_alignment check (category_alignment_score >= 0.0 and category_alignment_score <= 1.0),
  constraint valid_behavioral_prediction check (behavioral_prediction >= 0.0 and behavioral_prediction <= 1.0),
  constraint valid_combined_score check (combined_score >= 0.0 and combined_score <= 1.0),
  constraint personality_recommendations_valid_confidence check (confidence_level >= 0.0 and confidence_level <= 1.0),
  constraint personality_recommendations_context
    check (recommendation_context in ('discover', 'gift_finder', 'similar'))
);
create index personality_recommendations_product_id_idx on public.personality_recommendations (product_id);
create index personality_recommendations_profile_idx
  on public.personality_recommendations (user_id, personality_profile_id);

create table public.recommendation_feedback (
  user_id uuid not null default auth.uid()
    constraint recommendation_feedback_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  recommendation_id uuid not null,
  product_id uuid not null constraint recommendation_feedback_product_id_fkey
    references public.products (id) on delete cascade,
  feedback_type text not null,
  rating smallint,
  comment text,
  created_at timestamptz not null default clock_timestamp(),
  constraint recommendation_feedback_pkey primary key (user_id, id),
  constraint recommendation_feedback_recommendation_fkey foreign key (user_id, recommendation_id)
    references public.recommendations (user_id, id) on delete cascade,
  constraint recommendation_feedback_type
    check (feedback_type in ('helpful', 'not_helpful', 'not_interested', 'already_owned', 'purchased')),
  constraint recommendation_feedback_rating_range check (rating between 1 and 5),
  constraint recommendation_feedback_comment_length check (char_length(comment) <= 2000)
);
create index recommendation_feedback_user_product_idx
  on public.recommendation_feedback (user_id, product_id, created_at desc, id desc);
create index recommendation_feedback_recommendation_idx
  on public.recommendation_feedback (user_id, recommendation_id);
create index recommendation_feedback_product_id_idx on public.recommendation_feedback (product_id);

create trigger personality_recommendations_updated_at before update on public.personality_recommendations
  for each row execute function public.update_updated_at_column();
