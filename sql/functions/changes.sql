-- Notifies all processes of the API of changes that are rare and must not be missed, in their own transaction:
-- db/changes.py. A notification holds ids only, because every role that can log in can LISTEN.

create or replace function private.tell_session_end() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_notify('aclue_changes', 'sessions ' || old.id);
  return null;
end
$$;

-- One import notifies of each click once, and only where its sale is new, or its state or money changed.
create or replace function private.tell_conversions() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    perform pg_catalog.pg_notify('aclue_changes', 'conversions ' || told.user_id || ' ' || told.click_id)
    from (
      select distinct c.user_id, c.click_id from changed c where c.user_id is not null and c.click_id is not null
    ) told;
  else
    execute $q$  -- planned each time: private.note_offers()
      select count(pg_catalog.pg_notify('aclue_changes', 'conversions ' || told.user_id || ' ' || told.click_id)::text)
      from (
        select t.user_id, t.click_id from changed c join previous p on p.id = c.id
        cross join lateral (values (c.user_id, c.click_id), (p.user_id, p.click_id)) t (user_id, click_id)
        where (c.click_id, c.status, c.pending_minor, c.approved_minor, c.paid_minor)
            is distinct from (p.click_id, p.status, p.pending_minor, p.approved_minor, p.paid_minor)
          and t.user_id is not null and t.click_id is not null
        group by 1, 2
      ) told
    $q$;
  end if;
  return null;
end
$$;

create or replace trigger user_sessions_revoked after update of revoked_at on public.user_sessions
  for each row when (old.revoked_at is null and new.revoked_at is not null)
  execute function private.tell_session_end();
create or replace trigger user_sessions_deleted after delete on public.user_sessions
  for each row when (old.revoked_at is null)
  execute function private.tell_session_end();
create or replace trigger conversions_told_new after insert on public.conversions
  referencing new table as changed for each statement
  execute function private.tell_conversions();
create or replace trigger conversions_told after update on public.conversions
  referencing old table as previous new table as changed for each statement
  execute function private.tell_conversions();

revoke all on function private.tell_session_end(), private.tell_conversions() from public, anon, authenticated;
