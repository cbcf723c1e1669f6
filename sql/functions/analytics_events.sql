-- Counts of all people's events, for analysts, who may not read the rows.

create or replace function private.count_events(p_since timestamptz, p_until timestamptz)
returns table (name text, events bigint, people bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not coalesce(private.app_role() in ('analyst', 'admin') or auth.role() = 'service_role', false) then
    raise insufficient_privilege using message = 'only analysts may count events';
  end if;
  return query
    select e.event_name, count(*), count(distinct e.user_id) from public.analytics_events e
    where e.id >= private.uuid_v7_floor(p_since) and e.id < private.uuid_v7_floor(p_until)
    group by e.event_name order by 2 desc, 1 limit 500;
end
$$;
comment on function private.count_events(timestamptz, timestamptz) is
  'How often each event occurred in this period, and for how many people; the 500 most frequent.';

revoke all on function private.count_events(timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.count_events(timestamptz, timestamptz) to authenticated, service_role;
