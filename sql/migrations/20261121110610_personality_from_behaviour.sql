-- Personalities that follow the swipes too: what each assessment was made from, and whose is to be computed anew.

alter table public.personality_assessment_history
  add column assessment_method varchar(50) not null default 'quiz',
  add column confidence_level double precision;
comment on column public.personality_assessment_history.assessment_method is
  'What it was made from; people store those of quizzes only.';
comment on column public.personality_assessment_history.confidence_level is
  'Of this assessment alone, 0..1; null where it was not kept.';
alter table public.personality_assessment_history
  add constraint personality_assessment_history_method
    check (assessment_method in ('quiz', 'behavior', 'hybrid')) not valid,
  add constraint personality_assessment_history_valid_confidence
    check (confidence_level >= 0.0 and confidence_level <= 1.0) not valid;

create table private.personality_due (
  user_id uuid constraint personality_due_pkey primary key
    constraint personality_due_user_id_fkey references public.profiles (id) on delete cascade,
  due_since timestamptz not null default clock_timestamp(),
  marks integer not null default 1
);
comment on table private.personality_due is
  'Whose swipes or quiz changed since their personality was computed. A mark is a change in place: no index sees it.';
create index personality_due_since_idx on private.personality_due (due_since, user_id);
alter table private.personality_due enable row level security;
