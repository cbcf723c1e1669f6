-- One's own events: written once; the only change is undoing, with the current time and for good. The database sets
-- user_id and the time.
alter table public.swipes enable row level security;
revoke all on table public.swipes from public, anon, authenticated, service_role;

grant select on table public.swipes to anon, authenticated;
drop policy if exists swipes_own_read on public.swipes;
create policy swipes_own_read on public.swipes for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (client_swipe_id, product_id, session_id, direction, recommendation_id, interaction_context)
  on table public.swipes to anon, authenticated;
drop policy if exists swipes_own_insert on public.swipes;
create policy swipes_own_insert on public.swipes for insert to anon, authenticated
  with check (
    user_id = (select auth.uid())
    and (session_id is null or session_id = (select private.session_id()))
    and (
      recommendation_id is null
      or exists (
        select from public.recommendations r
        where r.user_id = (select auth.uid()) and r.id = swipes.recommendation_id and r.product_id = swipes.product_id
      )
    )
  );

grant update (undone_at)
  on table public.swipes to anon, authenticated;
drop policy if exists swipes_own_update on public.swipes;
create policy swipes_own_update on public.swipes for update to anon, authenticated
  using (user_id = (select auth.uid()) and undone_at is null)
  with check (user_id = (select auth.uid()) and undone_at between now() and clock_timestamp());

grant select, insert, update, delete on table public.swipes to service_role;
drop policy if exists swipes_service on public.swipes;
create policy swipes_service on public.swipes for all to service_role
  using (true)
  with check (true);
