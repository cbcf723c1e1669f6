-- Experiments that run: arms in a table of their own, with what they change in the ranking, a share of the people, and
-- times. No release writes these tables; an early one let people say of themselves which arm they saw.
-- squawk-ignore-file ban-drop-column, ban-drop-constraint, adding-foreign-key-constraint, constraint-missing-not-valid
-- squawk-ignore-file adding-required-field, adding-field-with-default, disallowed-unique-constraint
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion

create table public.experiment_arms (
  number smallint generated always as identity constraint experiment_arms_pkey primary key,
  experiment_id uuid not null constraint experiment_arms_experiment_id_fkey
    references public.experiments (id) on delete cascade,
  name text not null,
  share real not null,
  parameters jsonb not null default '{}',
  constraint experiment_arms_name_key unique (experiment_id, name),
  constraint experiment_arms_name_format check (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(name) <= 50),
  constraint experiment_arms_share_range check (share > 0 and share <= 1000),
  constraint experiment_arms_parameters_object
    check (jsonb_typeof(parameters) = 'object' and octet_length(parameters::text) <= 10000)
);
comment on table public.experiment_arms is 'Of the people in an experiment, share / (sum of its shares) are in this arm.';
comment on column public.experiment_arms.number is 'In signed ids, recommendations and impressions; 0 is no arm.';
comment on column public.experiment_arms.parameters is
  'Override those of the model (recommendation_models.parameters), member by member.';
alter table public.experiment_arms enable row level security;

insert into public.experiment_arms (experiment_id, name, share)
select e.id, v.name, 1
from public.experiments e cross join lateral unnest(e.variants) v (name)
where v.name ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(v.name) <= 50
on conflict do nothing;
delete from public.experiment_exposures x
where not exists (
  select from public.experiment_arms a where a.experiment_id = x.experiment_id and a.name = x.variant);

alter table public.experiments
  add column surface text,
  add column seed uuid not null default gen_random_uuid(),
  add column allocation real not null default 1,
  add column starts_at timestamptz,
  add column ends_at timestamptz,
  add constraint experiments_description_length check (char_length(description) <= 1000),
  add constraint experiments_key_length check (char_length(key) <= 50),
  add constraint experiments_surface check (surface in ('discover')),
  add constraint experiments_allocation_range check (allocation > 0 and allocation <= 1),
  add constraint experiments_times check (ends_at > starts_at),
  add constraint experiments_one_at_a_time
    exclude using gist (tstzrange(starts_at, ends_at) with &&) where (surface = 'discover' and starts_at is not null),
  drop constraint experiments_variants_count,
  drop column variants,
  drop column is_active;
comment on column public.experiments.surface is 'What its arms rank; null: the arms are the front end''s.';
comment on column public.experiments.seed is 'Who is in which arm follows from it and the person''s id.';
comment on column public.experiments.allocation is 'The share of all people who are in the experiment.';
comment on column public.experiments.starts_at is 'Null: a draft. Once it is past, nothing changes but ends_at.';

alter table public.experiment_exposures
  add constraint experiment_exposures_arm_fkey foreign key (experiment_id, variant)
    references public.experiment_arms (experiment_id, name) on delete cascade;
comment on column public.experiment_exposures.variant is 'The name of the arm (experiment_arms).';
create index experiment_exposures_arm_idx on public.experiment_exposures (experiment_id, variant);
drop index public.experiment_exposures_experiment_id_idx;
