-- Faults of the server and its capacity. Every block of the verify_ files returns a row with `fault` for each fault.

-- name: too_old(oldest)
select 'PostgreSQL ' || current_setting('server_version') as fault
where current_setting('server_version_num')::int < :oldest::int * 10000;

-- name: no_plpgsql()
select 'the language plpgsql is not installed' as fault
where not exists (select from pg_language where lanname = 'plpgsql');

-- name: wrong_encoding()
select 'the encoding is ' || pg_encoding_to_char(encoding) as fault from pg_database
where datname = current_database() and pg_encoding_to_char(encoding) <> 'UTF8';

-- name: wrong_time_zone()
select 'the time zone is ' || current_setting('TimeZone') as fault
where current_setting('TimeZone') not in ('UTC', 'Etc/UTC', 'UCT', 'Etc/UCT', 'GMT', 'Etc/GMT', 'Zulu', 'Etc/Zulu');

-- name: not_writable()
select 'this is a standby server' as fault where pg_is_in_recovery()
union all
select 'default_transaction_read_only is on' where current_setting('default_transaction_read_only')::boolean;

-- name: row_security_off()
select 'row_security is off: statements that a policy would filter fail' as fault
where not current_setting('row_security')::boolean;

-- name: jit_on()
select 'jit is on: statements of milliseconds are compiled for seconds' as fault where current_setting('jit')::boolean;

-- name: id_faults()
select 'private.uuid_v7() makes ' || id as fault
from (select private.uuid_v7()::text as id) made
where substr(id, 15, 1) <> '7' or id::uuid < private.uuid_v7_floor(clock_timestamp() - interval '1 minute')
  or id::uuid > private.uuid_v7_floor(clock_timestamp() + interval '1 minute');

-- name: too_few_connections(wanted)
with limits as (
  select least(
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
      case when d.datconnlimit >= 0 then d.datconnlimit end, case when r.rolconnlimit >= 0 then r.rolconnlimit end) as most
  from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = session_user
)
select format('the pools may open %s connections, the server allows %s', :wanted::int, most) as fault
from limits where :wanted::int > most;

-- name: connections_used_up(share)
with use as (
  select 'the server' as what, sum(numbackends) as used,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most
  from pg_stat_database
  union all
  select 'this database', s.numbackends, d.datconnlimit
  from pg_stat_database s join pg_database d on d.oid = s.datid where d.datname = current_database() and d.datconnlimit >= 0
)
select format('%s of %s connections of %s are in use', used, most, what) as fault from use where used >= :share::float8 * most;
