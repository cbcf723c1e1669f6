-- Monthly partitions of the tables that grow with every page view.

-- Rows are accessed through the parent only, whose policies then apply.
create or replace function private.seal_partition(p_name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  execute pg_catalog.format('alter table public.%I enable row level security', p_name);
  execute pg_catalog.format('revoke all on table public.%I from public, anon, authenticated, service_role', p_name);
  execute pg_catalog.format('drop policy if exists nobody on public.%I', p_name);
  execute pg_catalog.format('create policy nobody on public.%I for all to service_role using (false) with check (false)', p_name);
end
$$;
comment on function private.seal_partition(text) is 'Allows access to a partition only through its parent.';

create or replace function private.uuid_v7_floor(p_at timestamptz) returns uuid
language sql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
as $$
  select (pg_catalog.lpad(pg_catalog.to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || pg_catalog.repeat('0', 20))::uuid
$$;
comment on function private.uuid_v7_floor(timestamptz) is 'Sorts before every UUIDv7 of this millisecond and later.';

create or replace function private.ensure_partition(p_parent text, p_at timestamptz) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  month timestamptz := pg_catalog.date_trunc('month', p_at, 'UTC');
  name text := p_parent || '_' || pg_catalog.to_char(month at time zone 'UTC', 'YYYYMM');
begin
  if pg_catalog.to_regclass('public.' || pg_catalog.quote_ident(name)) is not null then
    return false;
  end if;
  execute pg_catalog.format('create table public.%I partition of public.%I for values from (%L) to (%L)',
    name, p_parent, private.uuid_v7_floor(month), private.uuid_v7_floor(month + interval '1 month'));
  perform private.seal_partition(name);
  return true;
end
$$;
comment on function private.ensure_partition(text, timestamptz) is
  'Creates the partition for the month of this timestamp; false if it existed.';

create or replace function private.ensure_partitions() returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
declare
  parent text;
  month timestamptz;
  made integer := 0;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('aclue.ensure_partitions'));
  foreach parent in array array['analytics_events', 'impressions', 'product_views'] loop
    for month in
      select pg_catalog.generate_series(
        pg_catalog.date_trunc('month', now(), 'UTC') - interval '1 month',
        pg_catalog.date_trunc('month', now(), 'UTC') + interval '3 months', interval '1 month')
    loop
      made := made + private.ensure_partition(parent, month)::integer;
    end loop;
  end loop;
  return made;
end
$$;
comment on function private.ensure_partitions() is
  'Creates the partitions from last month to three months ahead; returns how many were missing.';

-- A row there has an id of a month without a partition, which cannot be created before these rows are moved. Counts no
-- further than 1000, so that the check stays cheap when there are many.
create or replace function private.default_partition_rows() returns table (partition text, rows bigint)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  found_rows bigint;
begin
  for partition in
    select c.relname::text
    from pg_catalog.pg_partitioned_table t
    join pg_catalog.pg_class c on c.oid = t.partdefid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' order by 1
  loop
    execute pg_catalog.format('select count(*) from (select from public.%I limit 1000) found', partition) into found_rows;
    rows := found_rows;
    return next;
  end loop;
end
$$;
comment on function private.default_partition_rows() is
  'The default partitions, and how many rows are in each (1000: that many or more). All should be empty.';

revoke all on function private.seal_partition(text), private.ensure_partition(text, timestamptz), private.ensure_partitions(),
  private.default_partition_rows() from public, anon, authenticated;
grant execute on function private.ensure_partitions(), private.default_partition_rows() to service_role;
grant execute on function private.uuid_v7_floor(timestamptz) to anon, authenticated, service_role;

select private.ensure_partitions();

-- Partitions that existed before, including the default ones.
select private.seal_partition(c.relname)
from pg_catalog.pg_class c
where c.relispartition and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
  and not exists (select from pg_catalog.pg_policy p where p.polrelid = c.oid);
