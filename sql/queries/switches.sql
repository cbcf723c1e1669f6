-- Fallback switches: services/switches.py

-- name: off()
-- The names of those that are off.
select name from public.switches where not is_on order by name

-- name: all()
-- Those that were switched off once.
select name, is_on, reason, changed_at from public.switches order by name

-- name: set(name, is_on, reason)
-- As service_role. The reason is that of being off.
insert into public.switches (name, is_on, reason) values (:name::text, :is_on::boolean, :reason::text)
on conflict on constraint switches_pkey do update set
  is_on = excluded.is_on, reason = excluded.reason, changed_at = now()
returning name, is_on, reason, changed_at
