-- What outsiders sent, as they sent it: service_role only.
alter table public.postbacks enable row level security;
revoke all on table public.postbacks from public, anon, authenticated, service_role;

grant select, insert (sender_id, content_hash, content_type, query, body),
  update (query, body, status, attempts, reports, error, next_attempt_at), delete on table public.postbacks to service_role;
drop policy if exists postbacks_service on public.postbacks;
create policy postbacks_service on public.postbacks for all to service_role
  using (true)
  with check (true);
