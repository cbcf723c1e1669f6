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

create or replace function private.tell_switches() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_notify('aclue_changes', 'switches *');
  return null;
end
$$;

create or replace trigger switches_told after insert or update on public.switches
  for each statement execute function private.tell_switches();
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

-- What public answers are read from: each process drops those it has cached (services/public_answers.py). The detail is
-- the same in one transaction, whose notifications Postgres then merges, and another in the next. Arguments: the key's
-- columns; columns that no answer shows.
create or replace function private.tell_catalogue() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  is_shown boolean := true;
begin
  if tg_op = 'UPDATE' then
    -- Many rows are hardly written for nothing, and comparing them would take longer than reading answers anew.
    if (select count(*) from (select from changed limit 1001) c) <= 1000 then
      execute (  -- planned each time: private.note_offers()
        select format(
          'select exists (select from changed c join previous p on %s where (%s) is distinct from (%s))',
          (select string_agg(format('c.%1$I = p.%1$I', key), ' and ') from unnest(string_to_array(tg_argv[0], ',')) key),
          string_agg(format('c.%I', a.attname), ', '), string_agg(format('p.%I', a.attname), ', '))
        from pg_attribute a
        where a.attrelid = tg_relid and a.attnum > 0 and not a.attisdropped
          and a.attname <> all (string_to_array(tg_argv[1], ',')))
      into is_shown;
    end if;
  elsif tg_op in ('INSERT', 'DELETE') then
    is_shown := exists (select from changed);
  end if;
  if is_shown then
    perform pg_notify('aclue_changes', format('catalogue * %s-%s', pg_current_xact_id(), extract(epoch from now())));
  end if;
  return null;
end
$$;

do $do$
declare
  t record;
begin
  for t in
    select * from (values
      ('public.products', 'id', 'updated_at'),
      ('public.product_offers', 'id', 'link_checked_at,link_failures'),
      ('public.product_prices', 'product_id,valid_from', ''),
      ('public.brands', 'id', 'updated_at'),
      ('public.categories', 'id', 'updated_at'),
      ('public.retailers', 'id', 'updated_at'),
      ('public.currencies', 'code', ''),
      ('public.quiz_versions', 'instrument,version', ''),
      ('public.recommendation_models', 'version', ''),
      ('private.search_words', 'word', ''),
      ('private.search_variants', 'variant,word', ''),
      ('private.suggestions', 'kind,key', '')
    ) listed (name, key, ignored)
  loop
    execute format($q$
      create or replace trigger catalogue_told_new after insert on %1$s referencing new table as changed
        for each statement execute function private.tell_catalogue(%2$L, %3$L);
      create or replace trigger catalogue_told after update on %1$s
        referencing old table as previous new table as changed
        for each statement execute function private.tell_catalogue(%2$L, %3$L);
      create or replace trigger catalogue_told_gone after delete on %1$s referencing old table as changed
        for each statement execute function private.tell_catalogue(%2$L, %3$L);
      create or replace trigger catalogue_told_emptied after truncate on %1$s
        for each statement execute function private.tell_catalogue(%2$L, %3$L);
      $q$, t.name, t.key, t.ignored);
  end loop;
end
$do$;

revoke all on function private.tell_session_end(), private.tell_conversions(), private.tell_switches(),
  private.tell_catalogue()
  from public, anon, authenticated;
