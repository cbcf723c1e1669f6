-- Merges an anonymous session into an account.

create or replace function private.merge_session(p_session uuid)
returns table (outcome text, swipes integer, clicks integer, views integer, assessments integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  account constant uuid := auth.uid();
  known public.session_merges;
  visitor public.profiles;
  winner uuid;
  col record;
begin
  -- Running requests of either hold locks on these rows; later ones of the session find its profile gone.
  perform from public.profiles p where p.id in (p_session, account) order by p.id for update;
  if not exists (select from public.profiles p where p.id = account and not p.is_anonymous) then
    return query select 'no account', 0, 0, 0, 0;
    return;
  end if;
  select * into known from public.session_merges m where m.session_profile_id = p_session;
  if found then
    return query select case when known.user_id = account then 'merged' else 'elsewhere' end,
      known.swipes, known.clicks, known.views, known.assessments;
    return;
  end if;
  select * into visitor from public.profiles p where p.id = p_session and p.is_anonymous;
  if not found then
    return query select 'unknown', 0, 0, 0, 0;
    return;
  end if;
  set constraints all deferred;

  -- The same recommendation of both needs one row; references to the other one are redirected. Rows of earlier releases are
  -- the same by their time.
  for col in
    select distinct on (s.id) s.id as old_id, a.id as new_id
    from public.recommendations s join public.recommendations a
      using (product_id, recommendation_context)
    where s.user_id = p_session and a.user_id = account
      and (s.generated_at = a.generated_at
        or (s.model_version, s.arm, s.propensity) = (a.model_version, a.arm, a.propensity))
    order by s.id, a.id
  loop
    update public.swipes t set recommendation_id = col.new_id where t.user_id = p_session and t.recommendation_id = col.old_id;
    update public.affiliate_clicks t set recommendation_id = col.new_id
      where t.user_id = p_session and t.recommendation_id = col.old_id;
    update public.recommendation_feedback t set recommendation_id = col.new_id
      where t.user_id = p_session and t.recommendation_id = col.old_id;
    delete from public.recommendations t where t.user_id = p_session and t.id = col.old_id;
  end loop;

  -- A swipe sent under both tokens counts once; two different swipes with the same client id stay two, one of them under
  -- an id that no client can have predicted and used.
  delete from public.product_signals t where t.user_id = p_session;
  update public.swipes a set undone_at = coalesce(a.undone_at, s.undone_at)
  from public.swipes s
  where a.user_id = account and s.user_id = p_session and s.client_swipe_id = a.client_swipe_id
    and s.product_id = a.product_id and s.direction = a.direction and a.undone_at is distinct from s.undone_at;
  delete from public.swipes s using public.swipes a
  where s.user_id = p_session and a.user_id = account and s.client_swipe_id = a.client_swipe_id
    and s.product_id = a.product_id and s.direction = a.direction;
  update public.swipes s set client_swipe_id = left(s.client_swipe_id, 163) || '~' || private.uuid_v7()
  from public.swipes a
  where s.user_id = p_session and a.user_id = account and s.client_swipe_id = a.client_swipe_id;

  -- What somebody is like: what was assessed last, though a quiz says more than behaviour. All of the history is kept.
  select p.id into winner from public.personality_profiles p where p.user_id in (p_session, account)
  order by (p.assessment_method = 'behavior'), p.last_assessment_at desc limit 1;
  delete from public.personality_recommendations r using public.personality_recommendations o
  where r.user_id in (p_session, account) and o.user_id in (p_session, account)
    and r.product_id = o.product_id and r.id <> o.id
    and (coalesce(r.interacted_at, r.shown_at, r.generated_at), r.id)
      < (coalesce(o.interacted_at, o.shown_at, o.generated_at), o.id);
  update public.personality_recommendations r set personality_profile_id = winner
  where r.user_id in (p_session, account) and r.personality_profile_id <> winner;
  delete from public.personality_profiles p where p.user_id in (p_session, account) and p.id <> winner;

  -- Saved answers of one version: of each question the later one. Of two versions: those that were saved last.
  update public.quiz_drafts a set
    answers = a.answers || l.answers, answered_at = a.answered_at || l.answered_at,
    updated_at = greatest(a.updated_at, s.updated_at)
  from public.quiz_drafts s
  cross join lateral (
    select coalesce(pg_catalog.jsonb_object_agg(k.code, s.answers -> k.code), '{}') as answers,
      coalesce(pg_catalog.jsonb_object_agg(k.code, s.answered_at -> k.code), '{}') as answered_at
    from pg_catalog.jsonb_object_keys(s.answers) k (code)
    join public.quiz_drafts o on o.user_id = account
    where not o.answers ? k.code or (s.answered_at -> k.code) > (o.answered_at -> k.code)
  ) l
  where a.user_id = account and s.user_id = p_session and (a.instrument, a.version) = (s.instrument, s.version);
  delete from public.quiz_drafts d using public.quiz_drafts o
  where d.user_id in (p_session, account) and o.user_id in (p_session, account) and d.user_id <> o.user_id
    and case when (d.instrument, d.version) = (o.instrument, o.version) then d.user_id = p_session
      else (d.updated_at, d.user_id) < (o.updated_at, o.user_id) end;

  -- What both dismissed is dismissed once, and no more than one person may have is.
  delete from public.dismissed_reasons s using public.dismissed_reasons a
  where s.user_id = p_session and a.user_id = account and (s.kind, s.key) = (a.kind, a.key)
    and s.restored_at is null and a.restored_at is null;
  update public.dismissed_reasons d set restored_at = pg_catalog.clock_timestamp()
  from (
    select r.user_id, r.id from public.dismissed_reasons r
    where r.user_id in (p_session, account) and r.restored_at is null
    order by r.dismissed_at desc, r.id desc offset 200
  ) oldest
  where d.user_id = oldest.user_id and d.id = oldest.id;

  delete from private.personality_due t where t.user_id = p_session;
  delete from public.idempotency_keys s using public.idempotency_keys a
  where s.user_id = p_session and a.user_id = account and (s.operation, s.key) = (a.operation, a.key);
  delete from public.experiment_exposures e using public.experiment_exposures o
  where e.user_id in (p_session, account) and o.user_id in (p_session, account) and e.experiment_id = o.experiment_id
    and (e.exposed_at, e.user_id) > (o.exposed_at, o.user_id);
  delete from public.product_views s using public.product_views a
  where s.user_id = p_session and a.user_id = account and s.id = a.id;
  delete from public.impressions s using public.impressions a
  where s.user_id = p_session and a.user_id = account and s.id = a.id;
  delete from public.analytics_events s using public.analytics_events a
  where s.user_id = p_session and a.user_id = account and s.id = a.id;
  -- One id that both sent, of a product that was merged.
  delete from private.merged_rows s using private.merged_rows a
  where s.user_id = p_session and a.user_id = account
    and (s.product_id, s.table_name, s.row_id) = (a.product_id, a.table_name, a.row_id);
  update public.user_sessions s set revoked_at = coalesce(s.revoked_at, now()) where s.user_id = p_session;
  update public.profiles p set
    display_name = coalesce(p.display_name, visitor.display_name),
    preferences = case
      when octet_length((visitor.preferences || p.preferences)::text) <= 32768 then visitor.preferences || p.preferences
      else p.preferences end
  where p.id = account;

  insert into public.session_merges (user_id, session_profile_id, session_id, swipes, clicks, views, assessments)
  values (account, p_session,
    (select s.id from public.user_sessions s where s.user_id = p_session order by s.id limit 1),
    (select count(*) from public.swipes t where t.user_id = p_session),
    (select count(*) from public.affiliate_clicks t where t.user_id = p_session),
    (select count(*) from public.product_views t where t.user_id = p_session),
    (select count(*) from public.personality_assessment_history t where t.user_id = p_session))
  returning * into known;

  -- Every column that says whose a row is: whatever refers to profiles, or to a person's row together with the person.
  for col in
    select distinct c.conrelid::regclass as relation, a.attname as name
    from pg_catalog.pg_constraint c
    cross join lateral unnest(c.conkey, c.confkey) k (here, there)
    join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.here
    join pg_catalog.pg_attribute t on t.attrelid = c.confrelid and t.attnum = k.there
    where c.contype = 'f' and c.conparentid = 0
      and (c.confrelid = 'public.profiles'::regclass or t.attname = 'user_id')
      and c.connamespace in ('public'::regnamespace, 'private'::regnamespace)
  loop
    execute pg_catalog.format('update %s set %I = $1 where %I = $2', col.relation, col.name, col.name)
      using account, p_session;
  end loop;
  set constraints all immediate;
  delete from public.profiles p where p.id = p_session;
  perform private.sync_signals(null);
  return query select 'merged', known.swipes, known.clicks, known.views, known.assessments;
end
$$;
comment on function private.merge_session(uuid) is
  'Re-keys an anonymous profile''s rows to the caller''s account, once. Who calls it has seen a refresh token of the profile.';

revoke all on function private.merge_session(uuid) from public, anon, authenticated;
grant execute on function private.merge_session(uuid) to service_role;
