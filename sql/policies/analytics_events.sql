-- One's own events: written once, never changed. Analysts count them through private.count_events(). The partitions
-- themselves are nobody's.
alter table public.analytics_events enable row level security;
revoke all on table public.analytics_events, public.analytics_events_default from public, anon, authenticated, service_role;

grant select on table public.analytics_events to anon, authenticated;
drop policy if exists analytics_events_own_read on public.analytics_events;
create policy analytics_events_own_read on public.analytics_events for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (id, session_id, event_name, properties, page) on table public.analytics_events to anon, authenticated;
drop policy if exists analytics_events_own_insert on public.analytics_events;
create policy analytics_events_own_insert on public.analytics_events for insert to anon, authenticated
  with check (
    user_id = (select auth.uid())
    and (session_id is null or session_id = (select private.session_id()))
    -- The id determines the partition; an implausible time would go to the default partition and block a future one.
    and id >= (select private.uuid_v7_floor(now() - interval '31 days'))
    and id < (select private.uuid_v7_floor(now() + interval '10 minutes'))
  );

grant select, insert, update, delete on table public.analytics_events to service_role;
drop policy if exists analytics_events_service on public.analytics_events;
create policy analytics_events_service on public.analytics_events for all to service_role
  using (true)
  with check (true);
