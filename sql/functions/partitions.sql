-- Monthly partitions of the tables that grow with every look at a page.

create or replace function private.uuid_v7_floor(p_at timestamptz) returns uuid
language sql immutable strict parallel safe
set search_path = ''
as $$
  select (pg_catalog.lpad(pg_catalog.to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || pg_catalog.repeat('0', 20))::uuid
$$;
comment on function private.uuid_v7_floor(timestamptz) is 'Sorts before every UUIDv7 of this millisecond and later.';

create or replace function private.ensure_partitions() returns integer
language plpgsql security definer
set search_path = ''
set lock_timeout = '2s'
as $$
declare
  parent text;
  month timestamptz;
  name text;
  made integer := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('aclue.ensure_partitions'));
  foreach parent in array array['product_views'] loop
    for month in
      select pg_catalog.generate_series(
        pg_catalog.date_trunc('month', now(), 'UTC') - interval '1 month',
        pg_catalog.date_trunc('month', now(), 'UTC') + interval '3 months', interval '1 month')
    loop
      name := parent || '_' || pg_catalog.to_char(month at time zone 'UTC', 'YYYYMM');
      continue when pg_catalog.to_regclass('public.' || name) is not null;
      execute pg_catalog.format('create table public.%I partition of public.%I for values from (%L) to (%L)',
        name, parent, private.uuid_v7_floor(month), private.uuid_v7_floor(month + interval '1 month'));
      execute pg_catalog.format('alter table public.%I enable row level security', name);
      execute pg_catalog.format('revoke all on table public.%I from public, anon, authenticated, service_role', name);
      made := made + 1;
    end loop;
  end loop;
  return made;
end
$$;
comment on function private.ensure_partitions() is 'Makes the partitions of last month to three months ahead; how many were missing.';

revoke all on function private.ensure_partitions() from public, anon, authenticated;
grant execute on function private.ensure_partitions() to service_role;
grant execute on function private.uuid_v7_floor(timestamptz) to anon, authenticated, service_role;

select private.ensure_partitions();
