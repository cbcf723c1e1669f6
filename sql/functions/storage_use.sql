-- What is stored per day: docs/limits.md. Each process adds what it has counted, a batch at a time.

create or replace function private.add_storage_use(p_days date[], p_subjects bytea[], p_bytes bigint[])
returns table (day date, subject bytea, bytes bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  delete from private.storage_use u where u.day < (now() at time zone 'utc')::date - 1;
  return query
  -- In one order for all: two processes that add to the same rows wait for each other, and never both.
  insert into private.storage_use as u (day, subject, bytes)
  select a.day, a.subject, sum(a.bytes)::bigint
  from unnest(p_days, p_subjects, p_bytes) a (day, subject, bytes)
  group by a.day, a.subject
  order by a.day, a.subject
  on conflict on constraint storage_use_pkey do update set bytes = u.bytes + excluded.bytes
  returning u.day, u.subject, u.bytes;
end
$$;
comment on function private.add_storage_use(date[], bytea[], bigint[]) is
  'Adds bytes to what these subjects stored on these days; the sums.';
revoke all on function private.add_storage_use(date[], bytea[], bigint[]) from public, anon, authenticated;
grant execute on function private.add_storage_use(date[], bytea[], bigint[]) to service_role;
