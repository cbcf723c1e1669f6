-- Public; written by private.refresh_model().
alter table public.model_lists enable row level security;
revoke all on table public.model_lists from public, anon, authenticated, service_role;

grant select on table public.model_lists to anon, authenticated;
drop policy if exists model_lists_read on public.model_lists;
create policy model_lists_read on public.model_lists for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_lists to service_role;
drop policy if exists model_lists_service on public.model_lists;
create policy model_lists_service on public.model_lists for all to service_role
  using (true)
  with check (true);
