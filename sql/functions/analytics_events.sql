-- Counts of all people's events, for analysts, who may not read the rows.

create or replace function private.count_events(p_since timestamptz, p_until timestamptz)
returns table (name text, events bigint, people bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- What analysts see of: the whole days (UTC) of the time that are over.
  first_at constant timestamptz := private.start_of_day(p_since + interval '1 day' - interval '1 microsecond');
  end_at constant timestamptz := least(private.start_of_day(p_until), private.first_unpublished_day()::timestamp at time zone 'UTC');
begin
  if not coalesce(private.app_role() in ('analyst', 'admin') or auth.role() = 'service_role', false) then
    raise insufficient_privilege using message = 'only analysts may count events';
  end if;
  if not private.may_read_small_counts() then  -- as private.rollups_of(): by whole days that are over, of 5 people or more
    return query
      with daily as materialized (
        select e.event_name, (private.uuid_v7_time(e.id) at time zone 'UTC')::date as day, e.user_id, count(*) as number
        from public.analytics_events e
        where e.id >= private.uuid_v7_floor(first_at) and e.id < private.uuid_v7_floor(end_at)
        group by 1, 2, 3
      ),
      published as (
        select d.event_name, d.day, private.rounded_count(sum(d.number)::bigint) as number from daily d
        group by 1, 2 having count(*) >= 5
      )
      select p.event_name, sum(p.number)::bigint, (
        select private.rounded_count(count(distinct d.user_id)) from daily d
        where d.event_name = p.event_name and exists (
          select from published k where k.event_name = d.event_name and k.day = d.day))
      from published p group by p.event_name order by 2 desc, 1 limit 500;
    return;
  end if;
  return query
    select e.event_name, count(*), count(distinct e.user_id) from public.analytics_events e
    where e.id >= private.uuid_v7_floor(p_since) and e.id < private.uuid_v7_floor(p_until)
    group by e.event_name order by 2 desc, 1 limit 500;
end
$$;
comment on function private.count_events(timestamptz, timestamptz) is
  'How often each event occurred in this period, and for how many people; the 500 most frequent. For analysts of whole days (UTC) '
  'that are over, and where 5 people or more are counted, rounded to 5.';

revoke all on function private.count_events(timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function private.count_events(timestamptz, timestamptz) to authenticated, service_role;
