-- Whom somebody gives to and when, and which experiments they are part of.

create table public.recipients (
  user_id uuid not null default auth.uid()
    constraint recipients_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  name text not null,
  relationship text,
  birthday date,
  preferences jsonb not null default '{}',
  notes text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint recipients_pkey primary key (user_id, id),
  constraint recipients_name_length check (char_length(name) between 1 and 100),
  constraint recipients_relationship_length check (char_length(relationship) between 1 and 50),
  constraint recipients_notes_length check (char_length(notes) <= 2000),
  constraint recipients_preferences_object check (jsonb_typeof(preferences) = 'object'),
  constraint recipients_preferences_size check (octet_length(preferences::text) <= 32768)
);
comment on table public.recipients is 'Whom a person gives to: that person''s own notes about others.';

create table public.occasions (
  user_id uuid not null default auth.uid()
    constraint occasions_user_id_fkey references public.profiles (id) on delete cascade,
  id uuid not null default private.uuid_v7(),
  recipient_id uuid,
  kind text not null,
  name text,
  occurs_on date not null,
  is_yearly boolean not null default true,
  budget_minor bigint,
  budget_currency char(3) constraint occasions_budget_currency_fkey
    references public.currencies (code) on delete restrict,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint occasions_pkey primary key (user_id, id),
  constraint occasions_recipient_fkey foreign key (user_id, recipient_id)
    references public.recipients (user_id, id) on delete cascade deferrable initially immediate,
  constraint occasions_kind_format check (kind ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and char_length(kind) <= 50),
  constraint occasions_name_length check (char_length(name) between 1 and 100),
  constraint occasions_budget check (budget_minor > 0 and budget_currency is not null or budget_minor is null)
);
comment on column public.occasions.kind is 'As in gift_context_rules: birthday, christmas, wedding ...';
create index occasions_recipient_idx on public.occasions (user_id, recipient_id);
create index occasions_budget_currency_idx on public.occasions (budget_currency);

create table public.experiments (
  id uuid not null default private.uuid_v7() constraint experiments_pkey primary key,
  key text not null constraint experiments_key_key unique,
  description text not null,
  variants text[] not null,
  is_active boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint experiments_key_format check (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
  constraint experiments_variants_count check (cardinality(variants) between 2 and 10)
);

create table public.experiment_exposures (
  user_id uuid not null default auth.uid()
    constraint experiment_exposures_user_id_fkey references public.profiles (id) on delete cascade,
  experiment_id uuid not null constraint experiment_exposures_experiment_id_fkey
    references public.experiments (id) on delete cascade,
  variant text not null,
  exposed_at timestamptz not null default now(),
  constraint experiment_exposures_pkey primary key (user_id, experiment_id)
);
comment on table public.experiment_exposures is 'Who saw which variant, from when on: the first exposure counts.';
create index experiment_exposures_experiment_id_idx on public.experiment_exposures (experiment_id);

create trigger recipients_updated_at before update on public.recipients
  for each row execute function public.update_updated_at_column();
create trigger occasions_updated_at before update on public.occasions
  for each row execute function public.update_updated_at_column();
create trigger experiments_updated_at before update on public.experiments
  for each row execute function public.update_updated_at_column();
