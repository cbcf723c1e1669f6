-- Consents of a person. The caller's row level security applies: for another person it returns the defaults.

create or replace function private.has_consent(p_user uuid, p_purpose text, p_at timestamptz default 'infinity')
returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select c.granted from public.consents c
     where c.user_id = p_user and c.purpose = p_purpose and c.created_at <= p_at
     order by c.created_at desc, c.id desc limit 1),
    p_purpose in ('personalisation', 'analytics'))
$$;
comment on function private.has_consent(uuid, text, timestamptz) is
  'The newest decision up to a timestamp; without one, personalisation and analytics are on and marketing is off.';

create or replace function private.forget_withdrawn() returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from public.session_analytics
  where user_id = auth.uid() and not private.has_consent(auth.uid(), 'analytics');
  select private.forget_behaviour() where not private.has_consent(auth.uid(), 'personalisation');
$$;
comment on function private.forget_withdrawn() is
  'Deletes data of the caller that was stored under a consent that was withdrawn.';

revoke all on function private.has_consent(uuid, text, timestamptz), private.forget_withdrawn() from public;
grant execute on function private.has_consent(uuid, text, timestamptz), private.forget_withdrawn()
  to anon, authenticated, service_role;
