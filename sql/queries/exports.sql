-- A person's data as JSON lines. docs/privacy.md

-- name: open(user_id, request_id, lifetime_seconds)
-- A request whose URL still works.
r.user_id = :user_id::uuid and r.id = :request_id::uuid and r.kind = 'export' and r.fetched_at is null
  and r.created_at > now() - make_interval(secs => :lifetime_seconds::float8)

-- name: is_open()
-- As service_role.
select exists (select from public.privacy_requests r where {open})

-- name: claim()
-- As service_role: if several clients open the URL at once, one of them gets a row.
update public.privacy_requests r set fetched_at = now() where {open} returning r.id

-- name: try_lock(user_id)
-- One export of a person at a time, over all processes, until the end of the transaction.
select pg_try_advisory_xact_lock(hashtextextended('export:' || :user_id::uuid::text, 0))

-- name: tables(names, roles)
-- Per table: the columns that its role may read, and its primary key with the types; of a view, its id.
select t.name, now() as at, columns.names as columns, coalesce(key.names, array['id']) as key,
  coalesce(key.types, array['uuid']) as types
from unnest(:names::text[], :roles::text[]) t (name, role)
cross join lateral (
  select array_agg(a.attname::text order by a.attnum) as names
  from pg_attribute a
  where a.attrelid = t.name::regclass and a.attnum > 0 and not a.attisdropped
    and has_column_privilege(t.role, a.attrelid, a.attnum, 'select')
) columns
cross join lateral (
  select array_agg(a.attname::text order by k.place) as names,
    array_agg(format_type(a.atttypid, null) order by k.place) as types
  from pg_index i
  cross join unnest(i.indkey::int2[]) with ordinality k (number, place)
  join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
  where i.indrelid = t.name::regclass and i.indisprimary
) key

-- name: log_in(user_id)
-- As service_role: a person's rows in the auth schema, which are few.
select t.key as name, count(r.value)::int as rows,
  (select array_agg(c order by c) from jsonb_object_keys(t.value -> 0) c) as columns,
  convert_to(string_agg('{"kind":"row","table":' || to_json(t.key) || ',"row":' || r.value || '}' || E'\n', ''), 'UTF8')
    as lines
from jsonb_each(private.export_log_in(:user_id::uuid)) t
left join jsonb_array_elements(t.value) r on true
group by t.key, t.value
order by t.key desc

-- name: person(user_id, canonical, spellings)
-- As the owner: the person with this id or e-mail.
select id from public.profiles
where id = coalesce(:user_id::uuid, private.person_of_email(:canonical::text, :spellings::text[]))

-- name: note_by_owner(user_id)
-- As the owner, who exports the data: an entry in the audit log.
insert into public.privacy_requests (user_id, kind, fetched_at) values (:user_id::uuid, 'export', now())
