-- The quiz, what it says of a person, and which gifts suit whom.

create table public.quiz_versions (
  version text constraint quiz_versions_pkey primary key,
  is_current boolean not null default false,
  min_answers smallint not null,
  created_at timestamptz not null default now()
);
create unique index quiz_versions_current_key on public.quiz_versions (is_current) where is_current;

create table public.quiz_questions (
  version text not null constraint quiz_questions_version_fkey references public.quiz_versions (version) on delete restrict,
  code text not null,
  position smallint not null,
  trait text not null,
  is_reversed boolean not null,
  constraint quiz_questions_pkey primary key (version, code),
  constraint quiz_questions_position_key unique (version, position),
  constraint quiz_questions_trait check (trait in ('adventurous', 'intellectual', 'practical', 'creative', 'social'))
);

create table public.quiz_texts (
  version text not null constraint quiz_texts_version_fkey references public.quiz_versions (version) on delete restrict,
  locale text not null,
  code text not null,
  text text not null,
  constraint quiz_texts_pkey primary key (version, locale, code)
);
comment on table public.quiz_texts is 'Wording per locale: of a question by its code, of an answer by "answer-<value>".';

create table public.personality_profiles (
  user_id uuid not null default auth.uid()
    constraint personality_profiles_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  primary_type varchar(50) not null,
  secondary_types text[] not null default '{}',
  personality_scores jsonb not null,
  confidence_level double precision not null default 0.5,
  quiz_responses jsonb not null default '{}',
  assessment_method varchar(50) not null default 'quiz',
  total_questions_answered integer not null default 0,
  feature_vector jsonb,
  clustering_segment varchar(50),
  version varchar(20) not null default '1.0',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  last_assessment_at timestamptz not null default now(),
  constraint personality_profiles_pkey primary key (user_id, id),
  constraint unique_user_profile unique (user_id),
  constraint personality_profiles_valid_confidence check (confidence_level >= 0.0 and confidence_level <= 1.0),
  constraint personality_profiles_primary_type
    check (primary_type in ('adventurous', 'intellectual', 'practical', 'creative', 'social')),
  constraint personality_profiles_assessment_method check (assessment_method in ('quiz', 'behavior', 'hybrid'))
);

create table public.personality_assessment_history (
  user_id uuid not null default auth.uid()
    constraint personality_assessment_history_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  assessment_data jsonb not null,
  personality_scores jsonb not null,
  primary_type varchar(50) not null,
  assessment_trigger varchar(50) not null,
  questions_answered integer not null,
  completion_time_seconds integer,
  assessment_quality_score double precision,
  user_swipes_count integer not null default 0,
  user_purchases_count integer not null default 0,
  behavioral_consistency double precision,
  assessment_timestamp timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default now(),
  constraint personality_assessment_history_pkey primary key (user_id, id),
  constraint valid_quality check (assessment_quality_score >= 0.0 and assessment_quality_score <= 1.0),
  constraint personality_assessment_history_trigger
    check (assessment_trigger in ('initial', 'periodic', 'behavior_change')),
  constraint personality_assessment_history_primary_type
    check (primary_type in ('adventurous', 'intellectual', 'practical', 'creative', 'social')),
  constraint personality_assessment_history_completion_time check (completion_time_seconds >= 0)
);
comment on column public.personality_assessment_history.assessment_data is
  'The raw answers: {"version", "answers": {question: value}}.';
create index personality_assessment_history_user_time_idx
  on public.personality_assessment_history (user_id, assessment_timestamp desc, id desc);

create table public.personality_gift_mappings (
  id uuid default private.uuid_v7() constraint personality_gift_mappings_pkey primary key,
  personality_type varchar(50) not null,
  recommended_categories text[] not null,
  avoided_categories text[] not null default '{}',
  product_tags jsonb not null default '{}',
  recommendation_weight numeric(3, 2) not null,
  confidence_score numeric(3, 2) not null default 0.8,
  evidence_strength varchar(20) not null default 'medium',
  occasion_relevance jsonb not null default '{}',
  price_range_modifier jsonb not null default '{}',
  demographic_filters jsonb not null default '{}',
  algorithm_version varchar(20) not null default '1.0',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint personality_gift_mappings_personality_type_key unique (personality_type, algorithm_version),
  constraint valid_weight check (recommendation_weight >= 0.0 and recommendation_weight <= 1.0),
  constraint personality_gift_mappings_valid_confidence check (confidence_score >= 0.0 and confidence_score <= 1.0),
  constraint personality_gift_mappings_evidence check (evidence_strength in ('low', 'medium', 'high')),
  constraint personality_gift_mappings_personality_type
    check (personality_type in ('adventurous', 'intellectual', 'practical', 'creative', 'social'))
);
comment on column public.personality_gift_mappings.product_tags is 'How a tag suits the type: {"tag": -1..1}.';

create trigger personality_profiles_updated_at before update on public.personality_profiles
  for each row execute function public.update_updated_at_column();
create trigger personality_gift_mappings_updated_at before update on public.personality_gift_mappings
  for each row execute function public.update_updated_at_column();
