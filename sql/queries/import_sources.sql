-- name: due_count()
select private.due_import_sources();

-- name: due()
select name from private.import_sources where next_at <= now() order by next_at, name;

-- name: all()
select s.name, s.mapping, s.every_seconds, s.next_at, s.failures
from private.import_sources s order by s.name;

-- name: find(name)
select name, mapping, every_seconds, next_at, failures, imported_with, etag, last_modified
from private.import_sources where name = :name;

-- name: save(name, mapping, every_seconds)
-- What is known of the file stays; it counts only with the mapping it was imported with.
insert into private.import_sources as s (name, mapping, every_seconds, next_at)
values (:name, :mapping::jsonb, :every_seconds::int, now() + make_interval(secs => :every_seconds::int))
on conflict on constraint import_sources_pkey do update
set mapping = excluded.mapping, every_seconds = excluded.every_seconds,
  next_at = case when s.every_seconds is not distinct from excluded.every_seconds then s.next_at else excluded.next_at end;

-- name: remove(name)
delete from private.import_sources where name = :name returning name;

-- name: try_lock(name)
-- Until unlock, or the end of the connection.
select pg_try_advisory_lock(hashtext('aclue.import_source'), hashtext(:name));

-- name: unlock(name)
select pg_advisory_unlock(hashtext('aclue.import_source'), hashtext(:name));

-- name: succeeded(name, imported_with, etag, last_modified)
update private.import_sources
set imported_with = :imported_with, etag = :etag, last_modified = :last_modified, failures = 0,
  next_at = now() + make_interval(secs => every_seconds)
where name = :name;

-- name: unmodified(name)
update private.import_sources set failures = 0, next_at = now() + make_interval(secs => every_seconds)
where name = :name;

-- name: failed(name)
-- Repeated after 15 minutes, then after twice as long each time, but as often as it is fetched anyway.
update private.import_sources set failures = failures + 1,
  next_at = now() + make_interval(secs => least(every_seconds, 900 * 2 ^ least(failures, 12)))
where name = :name;
