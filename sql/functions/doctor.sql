-- For `aclue doctor` and for operators: docs/doctor.md.

-- pg_stat_statements may be in any schema, or missing; this is resolved when it is called.
create or replace function private.performance_monitoring()
returns table (
  query text, calls bigint, total_time double precision, mean_time double precision, rows bigint,
  calls_per_hour double precision, performance_grade text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  schema_name text := (
    select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_stat_statements');
begin
  if schema_name is null then
    raise exception 'pg_stat_statements is not installed'
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Add it to shared_preload_libraries, restart, and run `create extension pg_stat_statements` in this database.';
  end if;
  return query execute format($statement$
    select s.query, s.calls, s.total_exec_time, s.total_exec_time / s.calls, s.rows, s.calls / r.hours,
      case when s.total_exec_time < 10 * s.calls then 'A' when s.total_exec_time < 100 * s.calls then 'B'
        when s.total_exec_time < 1000 * s.calls then 'C' when s.total_exec_time < 2000 * s.calls then 'D' else 'F' end
    from (
      select t.query, sum(t.calls)::bigint as calls, sum(t.total_exec_time) as total_exec_time, sum(t.rows)::bigint as rows
      from %1$I.pg_stat_statements t
      where t.dbid = (select oid from pg_database where datname = current_database())
        and t.query not like '%%pg_stat_statements%%' and t.calls > 0
      group by t.query
    ) s
    cross join (
      select greatest(extract(epoch from now() - stats_reset) / 3600, 1 / 60.0)::double precision as hours
      from %1$I.pg_stat_statements_info
    ) r
  $statement$, schema_name);
end
$$;
comment on function private.performance_monitoring() is
  'What performance_monitoring_view shows. Raises object_not_in_prerequisite_state without pg_stat_statements.';
revoke all on function private.performance_monitoring() from public, anon, authenticated, service_role;

create or replace view public.performance_monitoring_view with (security_invoker = true) as
  select query, calls, total_time, mean_time, rows, calls_per_hour, performance_grade
  from private.performance_monitoring();
comment on view public.performance_monitoring_view is
  'Statements of this database since the statistics were reset; times in milliseconds. performance_grade by mean_time: A under 10 ms, '
  'B under 100, C under 1000, D under 2000, F from there on. For the owner; needs pg_stat_statements.';
revoke all on table public.performance_monitoring_view from public, anon, authenticated, service_role;
