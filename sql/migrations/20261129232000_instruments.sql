-- Instruments as data: a version names its traits, keys, weights, short form and minimums, and has norms. Several
-- instruments may be loaded; the API serves the version that is current.
-- The tables are small (a version, twenty questions and their texts), so that nobody waits for these locks.
-- squawk-ignore-file constraint-missing-not-valid, adding-foreign-key-constraint, adding-serial-primary-key-field, disallowed-unique-constraint, ban-drop-constraint, require-concurrent-index-creation, adding-field-with-default

alter table public.quiz_versions
  add column instrument text not null default 'aclue-gifts',
  add column lowest smallint not null default 1,
  add column highest smallint not null default 5,
  add column source text not null default 'reference',
  add column revision uuid not null default gen_random_uuid();
comment on column public.quiz_versions.source is 'Who loaded it: reference (shipped with a release) or admin.';
comment on column public.quiz_versions.revision is
  'Another with every change of the version, its traits, questions, texts or norms: processes keep what they read of one.';

alter table public.quiz_versions
  add constraint quiz_versions_options check (lowest >= 0 and highest <= 100 and highest - lowest between 1 and 9),
  add constraint quiz_versions_source check (source in ('reference', 'admin'));

alter table public.quiz_questions
  add column instrument text not null default 'aclue-gifts',
  add column weight double precision not null default 1,
  add column is_short boolean not null default false;
alter table public.quiz_texts add column instrument text not null default 'aclue-gifts';

alter table public.quiz_questions
  drop constraint quiz_questions_version_fkey,
  drop constraint quiz_questions_pkey,
  drop constraint quiz_questions_position_key,
  drop constraint quiz_questions_trait;
alter table public.quiz_texts
  drop constraint quiz_texts_version_fkey,
  drop constraint quiz_texts_pkey,
  drop constraint quiz_texts_answer_range;
alter table public.quiz_versions drop constraint quiz_versions_pkey;
alter table public.quiz_versions add constraint quiz_versions_pkey primary key (instrument, version);

create table public.quiz_traits (
  instrument text not null,
  version text not null,
  trait text not null,
  position smallint not null,
  min_answers smallint not null default 1,
  constraint quiz_traits_pkey primary key (instrument, version, trait),
  constraint quiz_traits_version_fkey foreign key (instrument, version)
    references public.quiz_versions (instrument, version) on delete restrict,
  constraint quiz_traits_position_key unique (instrument, version, position),
  constraint quiz_traits_position_range check (position between 1 and 10),
  constraint quiz_traits_min_answers_range check (min_answers between 1 and 100)
);
comment on table public.quiz_traits is 'What a version measures, and how many answers each trait needs.';
insert into public.quiz_traits (instrument, version, trait, position, min_answers)
select v.instrument, v.version, t.trait, t.position, 2
from public.quiz_versions v
cross join unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) with ordinality t (trait, position);

alter table public.quiz_questions
  add constraint quiz_questions_pkey primary key (instrument, version, code),
  add constraint quiz_questions_version_fkey foreign key (instrument, version)
    references public.quiz_versions (instrument, version) on delete restrict,
  add constraint quiz_questions_trait_fkey foreign key (instrument, version, trait)
    references public.quiz_traits (instrument, version, trait) on delete restrict,
  add constraint quiz_questions_position_key unique (instrument, version, position),
  add constraint quiz_questions_code check (code not like 'answer-%' and char_length(code) between 1 and 60),
  add constraint quiz_questions_weight check (weight > 0 and weight <= 1000);
create index quiz_questions_trait_idx on public.quiz_questions (instrument, version, trait);
alter table public.quiz_texts
  add constraint quiz_texts_pkey primary key (instrument, version, locale, code),
  add constraint quiz_texts_version_fkey foreign key (instrument, version)
    references public.quiz_versions (instrument, version) on delete restrict,
  add constraint quiz_texts_answer_range check (code not like 'answer-%' or code ~ '^answer-(100|[1-9]?[0-9])$');

-- In the private schema, and read by the scoring alone: these are statistics of real people.
create table private.quiz_norms (
  instrument text not null,
  version text not null,
  trait text not null,
  form text not null,
  n integer not null,
  is_provisional boolean not null,
  mean double precision not null,
  sd double precision not null,
  alpha double precision not null,
  percentiles jsonb not null,
  errors jsonb not null,
  item_means jsonb,
  item_covariance jsonb,
  source text not null default 'reference',
  created_at timestamptz not null default now(),
  constraint quiz_norms_pkey primary key (instrument, version, trait, form),
  constraint quiz_norms_trait_fkey foreign key (instrument, version, trait)
    references public.quiz_traits (instrument, version, trait) on delete cascade,
  constraint quiz_norms_form check (form in ('full', 'short')),
  constraint quiz_norms_n check (n >= 2),
  constraint quiz_norms_sd check (sd > 0),
  constraint quiz_norms_alpha check (alpha >= 0 and alpha < 1),
  constraint quiz_norms_items check ((form = 'full') = (item_means is not null and item_covariance is not null)),
  constraint quiz_norms_source check (source in ('reference', 'assessments'))
);
comment on table private.quiz_norms is
  'How the answers to a trait are distributed among people. Provisional: simulated, before enough people have answered.';
comment on column private.quiz_norms.percentiles is 'Pairs of weighted mean of keyed answers and percentile, ascending.';
comment on column private.quiz_norms.errors is 'Pairs of percentile and standard error in points, ascending.';
comment on column private.quiz_norms.source is
  'reference: shipped with the instrument; assessments: estimated from what people answered here.';
alter table private.quiz_norms enable row level security;
