-- One's own views: written once, never changed. The partitions themselves are nobody's.
alter table public.product_views enable row level security;
revoke all on table public.product_views, public.product_views_default from public, anon, authenticated, service_role;

grant select on table public.product_views to anon, authenticated;
drop policy if exists product_views_own_read on public.product_views;
create policy product_views_own_read on public.product_views for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (id, product_id, session_id, source_page, view_duration_seconds)
  on table public.product_views to anon, authenticated;
drop policy if exists product_views_own_insert on public.product_views;
create policy product_views_own_insert on public.product_views for insert to anon, authenticated
  with check (
    user_id = (select auth.uid())
    and (session_id is null or session_id = (select private.session_id()))
    -- The id determines the partition; an implausible time would go to the default partition and block a future one.
    and id >= (select private.uuid_v7_floor(now() - interval '31 days'))
    and id < (select private.uuid_v7_floor(now() + interval '10 minutes'))
  );

grant select, insert, update, delete on table public.product_views to service_role;
drop policy if exists product_views_service on public.product_views;
create policy product_views_service on public.product_views for all to service_role
  using (true)
  with check (true);
