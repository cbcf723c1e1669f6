-- Public; written by private.refresh_model().
alter table public.model_cells enable row level security;
revoke all on table public.model_cells from public, anon, authenticated, service_role;

grant select on table public.model_cells to anon, authenticated;
drop policy if exists model_cells_read on public.model_cells;
create policy model_cells_read on public.model_cells for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_cells to service_role;
drop policy if exists model_cells_service on public.model_cells;
create policy model_cells_service on public.model_cells for all to service_role
  using (true)
  with check (true);
