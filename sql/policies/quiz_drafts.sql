-- One's own saved answers. The server checks them against the quiz and writes them as service_role.
alter table public.quiz_drafts enable row level security;
revoke all on table public.quiz_drafts from public, anon, authenticated, service_role;

grant select on table public.quiz_drafts to anon, authenticated;
drop policy if exists quiz_drafts_own_read on public.quiz_drafts;
create policy quiz_drafts_own_read on public.quiz_drafts for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.quiz_drafts to service_role;
drop policy if exists quiz_drafts_service on public.quiz_drafts;
create policy quiz_drafts_service on public.quiz_drafts for all to service_role
  using (true)
  with check (true);
