-- The audit log: one trigger function writes it, only erasure and retention change it. docs/audit_log.md

-- Arguments: the key's columns; the person's column or ''; columns whose values are left out; columns that are ignored;
-- columns that identify, instead of the key, changes that a request repeats.
create or replace function private.audit() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  old_row jsonb := case when tg_op <> 'INSERT' then pg_catalog.to_jsonb(old) end;
  new_row jsonb := case when tg_op <> 'DELETE' then pg_catalog.to_jsonb(new) end;
  key_columns text[] := pg_catalog.string_to_array(tg_argv[0], ',');
  left_out text[] := pg_catalog.string_to_array(tg_argv[2], ',');
  ignored text[] := pg_catalog.string_to_array(tg_argv[3], ',');
  subject uuid := auth.uid();
  person uuid := coalesce(new_row ->> tg_argv[1], old_row ->> tg_argv[1])::uuid;
  request text := nullif(left(pg_catalog.current_setting('aclue.request_id', true), 64), '');
  is_gone boolean;
  key jsonb;
  changed jsonb;
begin
  select pg_catalog.jsonb_object_agg(c.name, case when c.name = any (left_out) then '{"left_out": true}'
    else pg_catalog.jsonb_build_object('old', old_row -> c.name, 'new', new_row -> c.name) end)
  into changed
  from pg_catalog.jsonb_object_keys(coalesce(new_row, old_row)) c (name)
  where c.name <> all (ignored)
    and nullif(old_row -> c.name, 'null') is distinct from nullif(new_row -> c.name, 'null');
  if changed is null then
    return null;
  end if;
  select pg_catalog.jsonb_object_agg(k.name, coalesce(new_row, old_row) -> k.name) into key
  from pg_catalog.unnest(key_columns) k (name);
  -- Changes that are part of an erasure, or follow it, are recorded without the person's values.
  is_gone := person is not null and not exists (select from public.profiles where id = person);
  if is_gone then
    key := private.erased_key(key);
    changed := private.erased_changes(changed);
    subject := nullif(subject, person);
    person := null;
  end if;
  if request is not null and private.audit_again(
    subject, person, request, lower(tg_op), pg_catalog.format('%s.%s', tg_table_schema, tg_table_name), key, changed,
    pg_catalog.string_to_array(tg_argv[4], ','))
  then
    return null;
  end if;
  insert into public.audit_log (
    actor, person_id, role, app_role, request_id, operation, table_name, row_key, changes, erased_at)
  values (
    subject, person,
    coalesce(nullif(nullif(pg_catalog.current_setting('role'), 'none'), ''), session_user),
    private.acting_app_role(),
    request,
    lower(tg_op),
    pg_catalog.format('%s.%s', tg_table_schema, tg_table_name),
    key,
    changed,
    case when is_gone then now() end);
  return null;
end
$$;

-- A request that repeats a change, by aliases or row by row, extends its own entry. That is among the newest entries of
-- the person, or of nobody; no request takes longer than the period that is searched.
create or replace function private.audit_again(
  p_actor uuid, p_person uuid, p_request text, p_operation text, p_table text, p_key jsonb, p_changes jsonb,
  p_same text[]) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  since constant uuid := private.uuid_v7_floor(now() - interval '10 minutes');
  entry uuid;
begin
  if p_person is not null then
    select a.id into entry from public.audit_log a
    where a.person_id = p_person and a.id > since and a.request_id = p_request
      and a.operation = p_operation and a.table_name = p_table and a.actor is not distinct from p_actor
      and private.is_same_change(a.row_key, a.changes, p_key, p_changes, p_same)
    order by a.id desc limit 1;
  else
    select a.id into entry from public.audit_log a
    where a.person_id is null and a.id > since and a.request_id = p_request
      and a.operation = p_operation and a.table_name = p_table and a.actor is not distinct from p_actor
      and private.is_same_change(a.row_key, a.changes, p_key, p_changes, p_same)
    order by a.id desc limit 1;
  end if;
  if entry is null then
    return false;
  end if;
  perform pg_catalog.set_config('aclue.audit_log', 'again', true);
  update public.audit_log set
    at = pg_catalog.clock_timestamp(), times = times + 1, row_key = p_key,
    changes = private.merged_changes(changes, p_changes)
  where id = entry;
  perform pg_catalog.set_config('aclue.audit_log', '', true);
  return true;
end
$$;

create or replace function private.is_same_change(
  p_key jsonb, p_changes jsonb, p_other_key jsonb, p_other_changes jsonb, p_same text[]) returns boolean
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when p_same = '{}' then p_key = p_other_key else not exists (
    select from pg_catalog.unnest(p_same) c (name)
    where p_changes -> c.name is distinct from p_other_changes -> c.name) end
$$;

create or replace function private.merged_changes(p_first jsonb, p_last jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select p_first || coalesce((
    select pg_catalog.jsonb_object_agg(c.name, case
      when c.value ? 'left_out' or not p_first ? c.name or p_first -> c.name ? 'left_out' then c.value
      else pg_catalog.jsonb_build_object('old', p_first -> c.name -> 'old', 'new', c.value -> 'new') end)
    from pg_catalog.jsonb_each(p_last) c (name, value)), '{}')
$$;
comment on function private.merged_changes(jsonb, jsonb) is
  'Per column the value before the first change, and the value after the last.';

create or replace function private.erased_key(p_key jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(pg_catalog.jsonb_object_agg(name, '[erased]'), '{}') from pg_catalog.jsonb_object_keys(p_key) k (name)
$$;

create or replace function private.erased_changes(p_changes jsonb) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(pg_catalog.jsonb_object_agg(name, case when value ? 'left_out' then value
    else '{"old": "[erased]", "new": "[erased]"}' end), '{}')
  from pg_catalog.jsonb_each(p_changes) c (name, value)
$$;
comment on function private.erased_changes(jsonb) is 'The names of the columns that changed, without a value.';

-- No role has these privileges. The trigger also stops the owner: only three functions identify themselves by the
-- setting. Anybody can set it, so it counts only together with the owner's rights.
create or replace function private.keep_audit_log() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  work text := case
    when (select c.relowner from pg_catalog.pg_class c where c.oid = tg_relid)
      = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
    then pg_catalog.current_setting('aclue.audit_log', true) end;
begin
  if tg_op = 'DELETE' and work = 'purge' then
    return old;
  elsif tg_op = 'UPDATE' and work = 'redact' then
    if (new.id, new.at, new.times, new.role, new.app_role, new.request_id, new.operation, new.table_name)
        is not distinct from
        (old.id, old.at, old.times, old.role, old.app_role, old.request_id, old.operation, old.table_name)
      and (new.actor is null or new.actor = old.actor) and (new.person_id is null or new.person_id = old.person_id)
      and new.row_key in (old.row_key, private.erased_key(old.row_key))
      and new.changes in (old.changes, private.erased_changes(old.changes))
    then
      return new;
    end if;
  elsif tg_op = 'UPDATE' and work = 'again' then
    if new.times = old.times + 1
      and (new.id, new.actor, new.person_id, new.role, new.app_role, new.request_id, new.operation, new.table_name,
        new.erased_at)
        is not distinct from
        (old.id, old.actor, old.person_id, old.role, old.app_role, old.request_id, old.operation, old.table_name,
        old.erased_at)
    then
      return new;
    end if;
  end if;
  raise exception 'the audit log is append-only' using errcode = 'insufficient_privilege';
end
$$;

create or replace trigger audit_log_kept before update or delete on public.audit_log
  for each row execute function private.keep_audit_log();
create or replace trigger audit_log_not_emptied before truncate on public.audit_log
  for each statement execute function private.keep_audit_log();

create or replace function private.redact_audit_log(p_person uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.set_config('aclue.audit_log', 'redact', true);
  update public.audit_log set
    person_id = null, actor = nullif(actor, p_person), row_key = private.erased_key(row_key),
    changes = private.erased_changes(changes), erased_at = now()
  where person_id = p_person;
  -- Their other changes, such as those to the catalogue, stay, but without their name.
  update public.audit_log set actor = null, erased_at = now() where actor = p_person;
  perform pg_catalog.set_config('aclue.audit_log', '', true);
end
$$;
comment on function private.redact_audit_log(uuid) is
  'Removes a person from the entries, which stay. A trigger calls it when a profile is deleted.';

create or replace function private.redact_deleted_person() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.redact_audit_log(old.id);
  return null;
end
$$;
create or replace trigger profiles_redacted after delete on public.profiles
  for each row execute function private.redact_deleted_person();

create or replace function private.purge_audit_log(p_days integer, p_most integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  removed integer;
begin
  if p_days is null or p_days < 90 then
    raise exception 'the audit log is kept for 90 days at the least' using errcode = 'invalid_parameter_value';
  end if;
  perform pg_catalog.set_config('aclue.audit_log', 'purge', true);
  delete from public.audit_log where id in (
    select id from public.audit_log
    where id < private.uuid_v7_floor(now() - pg_catalog.make_interval(days => p_days)) order by id limit p_most);
  get diagnostics removed = row_count;
  perform pg_catalog.set_config('aclue.audit_log', '', true);
  return removed;
end
$$;
comment on function private.purge_audit_log(integer, integer) is
  'Deletes at most so many of the entries older than so many days (at least 90), oldest first; returns how many.';

-- Creates the trigger. `p_when` is SQL over old and new; changes for which it is false cost nothing.
drop function if exists private.audit_table(text, text, text, text, text, text);
create or replace function private.audit_table(
  p_table text, p_events text, p_when text, p_person text, p_left_out text, p_ignored text, p_same text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  key_columns text;
begin
  select pg_catalog.string_agg(a.attname, ',' order by pg_catalog.array_position(i.indkey::int2[], a.attnum)) into key_columns
  from pg_catalog.pg_index i
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
  where i.indrelid = p_table::regclass and i.indisprimary;
  execute pg_catalog.format(
    'create or replace trigger %I after %s on %s for each row when (%s) execute function private.audit(%L, %L, %L, %L, %L)',
    'audit_' || pg_catalog.replace(p_events, ' or ', '_'), p_events, p_table::regclass, p_when,
    key_columns, coalesce(p_person, ''), p_left_out, p_ignored, p_same);
end
$$;

-- The catalogue is audited if the API's roles write it: an import by the owner leaves one entry for all its rows, and
-- popularity, which private.refresh_model() sets with the owner's rights, none. Commission is audited for all roles, and so
-- is where links lead, but for the domain that an import gives a shop without one. Of offers, what administrators change,
-- and what the check of links deactivates and activates.
-- Anonymous sessions start and end without an entry. A sign-in is a row of user_sessions; ending it early is an entry.
-- A table that does not exist yet is skipped: the migration that creates it changes this file.
do $$
declare
  by_the_api constant text := $q$current_user in ('anon', 'authenticated', 'service_role')$q$;
  by_hand constant text := $q$coalesce(pg_catalog.current_setting('aclue.loads_reference', true), '') <> 'on'$q$;
  offer_changed constant text :=
    '(old.is_active, old.price_minor, old.currency, old.shipping_minor, old.in_stock, old.affiliate_url, old.edited) '
    'is distinct from '
    '(new.is_active, new.price_minor, new.currency, new.shipping_minor, new.in_stock, new.affiliate_url, new.edited)';
  t record;
begin
  for t in
    select * from (values
      ('auth.users', 'insert or update or delete', 'true', 'id',
        'encrypted_password,raw_user_meta_data', 'last_sign_in_at,updated_at', ''),
      ('auth.mfa_factors', 'insert or update or delete', 'true', 'user_id',
        'secret,friendly_name', 'last_challenged_at,updated_at', 'user_id,status'),
      ('public.profiles', 'insert', 'not new.is_anonymous', 'id', 'preferences', 'updated_at', ''),
      ('public.profiles', 'update', 'not (old.is_anonymous and new.is_anonymous)', 'id', 'preferences', 'updated_at', ''),
      ('public.profiles', 'delete', 'not old.is_anonymous', 'id', 'preferences', 'updated_at', ''),
      ('public.user_sessions', 'update', 'old.revoked_at is distinct from new.revoked_at', 'user_id',
        'refresh_token_hash,branch_token_hashes,rotated_token_hashes,user_agent,networks', 'last_used_at,rotated_at', ''),
      ('public.consents', 'insert or update or delete', 'true', 'user_id', '', '', 'purpose'),
      ('public.privacy_requests', 'insert or update or delete', 'true', 'user_id', '', '', 'kind'),
      ('public.personality_assessment_history', 'insert or update or delete', by_the_api, 'user_id',
        'assessment_data,personality_scores,standard_errors,variances,primary_type,secondary_types,quality_parts,'
        'behavioral_consistency,combined_scores,combined_errors,combined_variances', '', ''),
      ('public.quiz_drafts', 'insert or delete', by_the_api, 'user_id', 'answers,answered_at', 'updated_at', ''),
      ('public.quiz_versions', 'insert', $q$new.source = 'admin'$q$, null, '', '', ''),
      ('public.quiz_versions', 'update', $q$new.source = 'admin' and old.is_current <> new.is_current$q$, null, '',
        'revision', ''),
      ('private.quiz_norms', 'insert', $q$new.source = 'assessments'$q$, null,
        'percentiles,errors,item_means,item_covariance', '', ''),
      ('public.erasure_tombstones', 'insert or update or delete', 'true', null, '', '', ''),
      ('public.affiliate_networks', 'insert or update or delete', by_hand, null, '', '', ''),
      ('public.network_link_rules', 'insert or update or delete', by_hand, null, '', '', ''),
      ('public.switches', 'insert or update', 'true', null, '', 'changed_at', ''),
      ('public.placements', 'insert or update or delete', 'true', null, '', '', ''),
      ('public.commission_rules', 'insert or update or delete', 'true', null, '', 'updated_at', ''),
      ('public.advertisers', 'insert or update or delete', 'true', null, '', '', ''),
      ('public.ledger_decisions', 'insert', 'true', null, '', '', ''),
      ('public.network_accounts', 'insert or update or delete', 'true', null, '', '', ''),
      ('public.conversion_flags', 'insert', $q$new.kind = 'manual'$q$, null, '', '', ''),
      ('public.conversion_flags', 'update', 'old.released_at is distinct from new.released_at', null, '', 'detail,is_held', ''),
      ('public.retailers', 'update', by_the_api || ' or old.domain is not null or new.domain is null', null, '', 'updated_at', ''),
      ('public.retailers', 'insert or delete', by_the_api, null, '', 'updated_at', ''),
      ('public.brands', 'insert or update or delete', by_the_api, null, '', 'updated_at', ''),
      ('public.categories', 'insert or update or delete', by_the_api, null, '', 'updated_at', ''),
      ('public.products', 'insert or update or delete', by_the_api, null, 'description',
        'popularity,search_names,search,name_key,name_words,item_group_key,updated_at', ''),
      ('public.product_offers', 'update', by_the_api || ' and ' || offer_changed, null, '', 'first_seen_at,last_seen_at', '')
    ) listed (name, events, condition, person, left_out, ignored, same)
    where pg_catalog.to_regclass(listed.name) is not null
      and (listed.name not like 'auth.%' or private.accounts_are_ours())
  loop
    perform private.audit_table(t.name, t.events, t.condition, t.person, t.left_out, t.ignored, t.same);
  end loop;
end
$$;

revoke all on function private.audit(), private.redact_audit_log(uuid), private.redact_deleted_person(),
  private.purge_audit_log(integer, integer), private.erased_key(jsonb), private.erased_changes(jsonb),
  private.keep_audit_log(), private.audit_table(text, text, text, text, text, text, text),
  private.audit_again(uuid, uuid, text, text, text, jsonb, jsonb, text[]),
  private.is_same_change(jsonb, jsonb, jsonb, jsonb, text[]), private.merged_changes(jsonb, jsonb)
  from public, anon, authenticated, service_role;
