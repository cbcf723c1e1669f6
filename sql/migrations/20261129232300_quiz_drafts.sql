-- Answers to the quiz that are saved before it is submitted, so that it can be continued on another device.

create table public.quiz_drafts (
  user_id uuid not null default auth.uid()
    constraint quiz_drafts_user_id_fkey references public.profiles (id) on delete cascade,
  instrument text not null,
  version text not null,
  answers jsonb not null,
  answered_at jsonb not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint quiz_drafts_pkey primary key (user_id),
  constraint quiz_drafts_version_fkey foreign key (instrument, version)
    references public.quiz_versions (instrument, version) on delete cascade,
  constraint quiz_drafts_answers_length check (octet_length(answers::text) <= 16384),
  constraint quiz_drafts_answered_at_length check (octet_length(answered_at::text) <= 16384)
);
comment on table public.quiz_drafts is 'One per person, of one version; deleted when the quiz is submitted.';
comment on column public.quiz_drafts.answers is '{"question": value}';
comment on column public.quiz_drafts.answered_at is
  'When each was answered, in seconds since 1970: {"question": seconds}. The later answer wins when sessions are merged.';
create trigger quiz_drafts_updated_at before update on public.quiz_drafts
  for each row execute function public.update_updated_at_column();
create index quiz_drafts_version_idx on public.quiz_drafts (instrument, version);
