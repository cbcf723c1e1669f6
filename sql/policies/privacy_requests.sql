-- People see their own requests, and with a second factor only once they have shown it: a stolen password or token
-- alone can neither export the data nor delete it.
alter table public.privacy_requests enable row level security;
revoke all on table public.privacy_requests from public, anon, authenticated, service_role;

grant select on table public.privacy_requests to anon, authenticated;
drop policy if exists privacy_requests_own_read on public.privacy_requests;
create policy privacy_requests_own_read on public.privacy_requests for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (kind) on table public.privacy_requests to anon, authenticated;
drop policy if exists privacy_requests_own_insert on public.privacy_requests;
create policy privacy_requests_own_insert on public.privacy_requests for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

drop policy if exists privacy_requests_second_factor on public.privacy_requests;
create policy privacy_requests_second_factor on public.privacy_requests as restrictive for insert to anon, authenticated
  with check (
    (select private.has_mfa((select auth.uid()))) is false
    or (select private.is_aal2())
  );

grant select, insert, update, delete on table public.privacy_requests to service_role;
drop policy if exists privacy_requests_service on public.privacy_requests;
create policy privacy_requests_service on public.privacy_requests for all to service_role
  using (true)
  with check (true);
