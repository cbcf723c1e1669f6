-- Public; written by `aclue train`.
alter table public.model_weights enable row level security;
revoke all on table public.model_weights from public, anon, authenticated, service_role;

grant select on table public.model_weights to anon, authenticated;
drop policy if exists model_weights_read on public.model_weights;
create policy model_weights_read on public.model_weights for select to anon, authenticated
  using (true);

grant select, insert, update, delete on table public.model_weights to service_role;
drop policy if exists model_weights_service on public.model_weights;
create policy model_weights_service on public.model_weights for all to service_role
  using (true)
  with check (true);
