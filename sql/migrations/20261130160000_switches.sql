-- What an operator switches off while something is wrong with it.
-- A row comes with the first time that something is switched off; what has none is on.
create table public.switches (
  name text constraint switches_pkey primary key,
  is_on boolean not null,
  reason text,
  changed_at timestamptz not null default now(),
  constraint switches_name check (name in ('personalisation', 'subscriptions', 'imports', 'writes')),
  constraint switches_reason_length check (char_length(reason) <= 500)
);
comment on table public.switches is 'Fallback switches; written by aclue switch. Servers follow a change within a second.';
comment on column public.switches.reason is 'Why it was switched off, for operators; people are not shown it.';
alter table public.switches enable row level security;
