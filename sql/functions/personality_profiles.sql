-- Estimates personality from swipes, and combines that with the quiz: docs/recommendations.md.

create or replace function private.mark_personality_due() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into private.personality_due as d (user_id) select id from public.profiles where id = auth.uid()
  on conflict (user_id) do update set marks = d.marks + 1;
end
$$;
comment on function private.mark_personality_due() is 'The caller''s swipes or quiz have changed; harmless to repeat.';

-- A row per trait. estimate: -1..1, the mean direction of the swipes (a like 1, a super-like 1.5, a dislike -1), each
-- weighted by its age and by how much its product says of the trait; evidence: the sum of these weights. Without consent to
-- personalisation there are no signals: the
-- personality is that of the quiz alone. The newest 2000 signals say enough, and bound what one person can cost. Traits of
-- products that are not in the newest model are computed once per category and tags: they cost most by far.
create or replace function private.behaviour(p_user uuid)
returns table (trait text, estimate double precision, evidence double precision, signals bigint)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with newest as materialized (
    select s.product_id, s.category_id, s.tags, s.lean, s.weight
    from private.weighted_signals(
      p_user, 'infinity', (private.default_model_parameters() ->> 'half_life_days')::double precision) s
    where private.has_consent(p_user, 'personalisation')
    order by s.weight desc, s.swipe_id desc limit 2000
  ),
  featured as materialized (
    select s.lean, s.weight, s.category_id, s.tags, case when f.product_id is not null then
      array[f.adventurous, f.intellectual, f.practical, f.creative, f.social] end as features
    from newest s
    -- One by one: a plan made for many signals would read the features of all products, once per person.
    left join lateral (
      select * from public.product_features f
      where f.product_id = s.product_id and f.model_version = (select max(version) from public.recommendation_models)
      limit 1) f on true
  ),
  kinds as materialized (
    select k.category_id, k.tags, private.product_traits(k.category_id, k.tags) as features
    from (select distinct category_id, tags from featured where features is null) k
  ),
  said as materialized (
    select s.lean, s.weight, coalesce(s.features, k.features) as features
    from featured s left join kinds k
      on s.features is null and k.category_id is not distinct from s.category_id and k.tags is not distinct from s.tags
  )
  select t.trait,
    greatest(-1, least(1, sum(s.weight * s.lean / 0.6 * s.features[t.position])
      / nullif(sum(s.weight * abs(s.features[t.position])), 0))),
    coalesce(sum(s.weight * abs(s.features[t.position])), 0),
    count(s.lean)
  from pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
    with ordinality t (trait, position)
  left join said s on true
  group by t.trait, t.position
$$;

create or replace function private.purchases_of(p_user uuid) returns integer
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with own_sale as (  -- a click through a gift link is that of its maker, unless somebody with a session made it
    select v.id, v.product_id from public.conversions v
    join public.conversion_clicks k on k.affiliate_network = v.affiliate_network and k.reference = v.reference
    join public.affiliate_clicks c on c.user_id = v.user_id and c.id = v.click_id
    where v.user_id = p_user and v.status in ('pending', 'amended', 'approved', 'paid') and not v.is_held
      and (not k.has_gift_link or c.gift_link_user_id <> c.user_id)
  )
  select count(*)::integer from (
    select s.id::text from own_sale s
    union
    select f.product_id::text from public.recommendation_feedback f
    where f.user_id = p_user and f.feedback_type = 'purchased' and f.conversion_id is null
      and not exists (select from own_sale s where s.product_id = f.product_id)
  ) bought
$$;
comment on function private.purchases_of(uuid) is
  'What a person bought: sales by their own clicks that were reported, and neither taken back nor held, and products that '
  'they said they bought.';

create or replace function private.quiz_standing(p_user uuid)
returns table (swipes integer, purchases integer, swiped jsonb)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select (select count(*)::integer from public.swipes s
      where s.user_id = p_user and s.undone_at is null and not s.is_for_somebody_else),
    private.purchases_of(p_user),
    (select coalesce(pg_catalog.jsonb_object_agg(b.trait, round((50 + 50 * b.estimate)::numeric, 2)), '{}')
     from private.behaviour(p_user) b where b.evidence > 0)
$$;
comment on function private.quiz_standing(uuid) is
  'What a quiz is stored with: how much a person swiped and bought before it, and what the swipes say of each trait (0..100).';

-- One statement computes and writes, so that it sees one snapshot of swipes, quizzes and profiles. A quiz waits only
-- while its person's profile is being written; concurrent changes increment the marks, so that the person stays due.
drop function if exists private.update_personality_from_behaviour(integer);
create or replace function private.update_personality_from_behaviour(p_limit integer, p_user uuid default null)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  parameters constant jsonb := private.default_model_parameters() -> 'behaviour';
  quiz_variance constant double precision := parameters ->> 'quiz_variance';
  prior_variance constant double precision := parameters ->> 'prior_variance';
  swipe_variance constant double precision := parameters ->> 'swipe_variance';
  method_variance constant double precision := parameters ->> 'method_variance';
  minimum_signals constant integer := parameters ->> 'minimum_signals';
  threshold constant double precision := parameters ->> 'threshold';
  at constant timestamptz := pg_catalog.clock_timestamp();
  taken uuid[];
  taken_marks integer[];
  done integer;
begin
  if p_user is null
    and not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('aclue.update_personality'))
  then
    return 0;
  end if;
  with due as materialized (
    -- Skips people who are being erased or merged, and locks the others: a person who vanished would fail the batch.
    select d.user_id, d.marks from private.personality_due d join public.profiles p on p.id = d.user_id
    where p_user is null or d.user_id = p_user
    order by d.due_since, d.user_id limit p_limit for key share of p skip locked
  ),
  people as (
    select d.user_id, p.id as profile_id, p.last_assessment_at as seen_at, p.primary_type as old_primary,
      p.reassessment_suggested_at as suggested_at,
      q.id as quiz_id, q.scores as quiz_scores, q.errors as quiz_errors, q.variances as quiz_variances,
      q.confidence as quiz_confidence
    from due d
    left join public.personality_profiles p on p.user_id = d.user_id
    -- The combination of all quizzes after the newest one. Assessments of version 1.0 have no variances.
    left join lateral (
      select h.id, coalesce(h.combined_scores, h.personality_scores) as scores,
        coalesce(h.combined_errors, h.standard_errors) as errors,
        coalesce(h.combined_variances, h.variances) as variances,
        coalesce(h.combined_confidence, h.confidence_level, 0.5) as confidence
      from public.personality_assessment_history h
      where h.user_id = d.user_id and h.assessment_method = 'quiz'
      order by h.assessment_timestamp desc, h.id desc limit 1) q on true
  ),
  estimates as (
    select p.user_id, p.quiz_id, p.old_primary, b.trait, b.evidence, b.signals,
      coalesce(private.number_of(p.quiz_scores, b.trait, 0, 100), 50) as base,
      o.variance as own_variance,
      coalesce(private.number_of(p.quiz_errors, b.trait, 0, 100), sqrt(o.variance)) as own_error,
      -- No quiz predicts what people choose better than this, however exactly it measured what they say of themselves.
      case when p.quiz_id is null then prior_variance else greatest(quiz_variance, o.variance) end as base_variance,
      50 + 50 * coalesce(b.estimate, 0) as swiped,
      swipe_variance / nullif(b.evidence, 0) + method_variance as swiped_variance
    from people p cross join lateral private.behaviour(p.user_id) b
    cross join lateral (
      select case when p.quiz_id is null then prior_variance else coalesce(
        private.number_of(p.quiz_variances, b.trait, 1, 10000),
        quiz_variance / greatest(p.quiz_confidence, 0.01)) end) o (variance)
  ),
  shares as (
    select *, coalesce(base_variance / (base_variance + swiped_variance), 0) as share from estimates
  ),
  -- Of the weighted mean. Without swipes that say something of a trait, the quiz's own.
  scores as (
    select *, round((base + share * (swiped - base))::numeric, 2) as score,
      round(((1 - share) ^ 2 * own_variance + share ^ 2 * coalesce(swiped_variance, 0))::numeric, 4) as variance,
      round(sqrt((1 - share) ^ 2 * own_error ^ 2 + share ^ 2 * coalesce(swiped_variance, 0))::numeric, 2) as error
    from shares
  ),
  sums as (
    select user_id, pg_catalog.jsonb_object_agg(trait, score) as scores,
      pg_catalog.jsonb_object_agg(trait, variance) as variances,
      pg_catalog.jsonb_object_agg(trait, error) as errors,
      -- feature_vector() and segment() of domain/personality.py.
      pg_catalog.jsonb_object_agg(trait, round((score - 50) / 50 * 10000 / (10000 + 12 * variance), 4)) as features,
      max(score) as best, max(signals) as signals, sum(evidence) as evidence,
      pg_catalog.array_agg(trait order by score desc, (trait = old_primary) desc nulls last, pg_catalog.array_position(
        array['adventurous', 'intellectual', 'practical', 'creative', 'social'], trait)) as ranked,
      -- The types, as domain/personality.py has them. Five scores that their errors explain are no type (Cochran's test
      -- of homogeneity: chi-square with four degrees of freedom, the 68 % quantile).
      sum(score * score / variance) - sum(score / variance) ^ 2 / sum(1 / variance) <= 4.70 as is_balanced,
      -- The swipes depart from the quiz: by more than their errors explain, in 95 of 100 people whose swipes do not.
      sum((base - swiped) ^ 2 / (base_variance + swiped_variance)) filter (where evidence > 0)
        > (array[3.84, 5.99, 7.81, 9.49, 11.07])[count(*) filter (where evidence > 0)] as departs,
      avg(coalesce(prior_variance / (prior_variance + swiped_variance), 0)) as reliability,
      case when count(quiz_id) > 0 then 1 - avg(abs(base - swiped)) filter (where evidence > 0) / 100 end as consistency
    from scores group by user_id
  ),
  results as (
    select p.*, s.scores, s.variances, s.errors, s.features, s.signals, s.evidence, s.consistency, t.primary_type,
      t.secondary_types,
      (select pg_catalog.string_agg(l.trait, '+' order by pg_catalog.array_position(
          array['adventurous', 'intellectual', 'practical', 'creative', 'social'], l.trait))
        from pg_catalog.unnest(t.primary_type || t.secondary_types[1:1]) l (trait)) as segment,
      case when p.quiz_id is not null and s.signals >= minimum_signals and s.departs
        then coalesce(p.suggested_at, at) end as now_suggested_at,
      case when p.quiz_id is null then 'behavior' when s.evidence > 0 then 'hybrid' else 'quiz' end as method,
      round((case
        when p.quiz_id is null then s.reliability
        else 1 - (1 - p.quiz_confidence) * (1 - s.reliability * coalesce(s.consistency, 0)) end)::numeric, 4)
        ::double precision as confidence,
      n.id is null or n.primary_type <> t.primary_type or exists (
        select from pg_catalog.jsonb_each_text(s.scores) c
        where abs(c.value::double precision - coalesce(private.number_of(n.personality_scores, c.key, 0, 100), 50))
          >= threshold) as is_moved
    from people p
    join sums s on s.user_id = p.user_id
    cross join lateral (
      select case when s.is_balanced then 'balanced' else s.ranked[1] end,
        case when s.is_balanced then '{}' else coalesce((select pg_catalog.array_agg(r.trait order by r.place)
          from pg_catalog.unnest(s.ranked[2:3]) with ordinality r (trait, place)
          where s.best - (s.scores ->> r.trait)::numeric
            <= sqrt((s.variances ->> s.ranked[1])::numeric + (s.variances ->> r.trait)::numeric)), '{}') end
      ) t (primary_type, secondary_types)
    left join lateral (
      select h.id, case when h.combined_scores is null then h.primary_type else p.old_primary end as primary_type,
        coalesce(h.combined_scores, h.personality_scores) as personality_scores
      from public.personality_assessment_history h
      where h.user_id = p.user_id order by h.assessment_timestamp desc, h.id desc limit 1) n on true
    where p.profile_id is not null or s.signals >= minimum_signals
  ),
  changed as (
    update public.personality_profiles p set
      primary_type = r.primary_type, secondary_types = r.secondary_types, personality_scores = r.scores,
      standard_errors = r.errors, variances = r.variances, confidence_level = r.confidence,
      assessment_method = r.method, reassessment_suggested_at = r.now_suggested_at,
      feature_vector = r.features, clustering_segment = r.segment,
      last_assessment_at = case when r.is_moved then at else p.last_assessment_at end
    from results r
    where p.user_id = r.user_id and p.id = r.profile_id and p.last_assessment_at = r.seen_at
      and (p.primary_type, p.secondary_types, p.personality_scores, p.standard_errors, p.variances, p.confidence_level,
          p.assessment_method, p.reassessment_suggested_at, p.clustering_segment)
        is distinct from (r.primary_type, r.secondary_types, r.scores, r.errors, r.variances, r.confidence,
          r.method, r.now_suggested_at, r.segment)
    returning p.user_id
  ),
  added as (
    insert into public.personality_profiles (user_id, primary_type, secondary_types, personality_scores,
      standard_errors, variances, confidence_level, assessment_method, feature_vector, clustering_segment,
      last_assessment_at)
    select r.user_id, r.primary_type, r.secondary_types, r.scores, r.errors, r.variances, r.confidence, r.method,
      r.features, r.segment, at
    from results r where r.profile_id is null
    on conflict (user_id) do nothing
    returning user_id
  ),
  recorded as (
    insert into public.personality_assessment_history (user_id, assessment_data, personality_scores, standard_errors,
      variances, primary_type, secondary_types, assessment_trigger, assessment_method, confidence_level,
      questions_answered, user_swipes_count, user_purchases_count, behavioral_consistency, assessment_timestamp)
    select r.user_id,
      pg_catalog.jsonb_build_object('quiz', r.quiz_id, 'signals', r.signals, 'evidence', round(r.evidence::numeric, 4)),
      r.scores, r.errors, r.variances, r.primary_type, r.secondary_types, 'behavior_change',
      case when r.quiz_id is null then 'behavior' else 'hybrid' end, r.confidence, 0,
      (select count(*)::integer from public.swipes s
        where s.user_id = r.user_id and s.undone_at is null and not s.is_for_somebody_else),
      private.purchases_of(r.user_id), r.consistency, at
    from results r
    where r.is_moved and r.user_id in (select user_id from changed union all select user_id from added)
  )
  select pg_catalog.array_agg(user_id), pg_catalog.array_agg(marks) into taken, taken_marks from due;
  -- Last, and skipping rows that are being marked right now, so that no swipe waits for this computation.
  delete from private.personality_due d using unnest(taken, taken_marks) seen (user_id, marks)
  where d.user_id = seen.user_id and d.marks = seen.marks and d.user_id in (
    select w.user_id from private.personality_due w where w.user_id = any (taken) for update skip locked);
  get diagnostics done = row_count;
  return done;
end
$$;
comment on function private.update_personality_from_behaviour(integer, uuid) is
  'Rebuilds at most so many of the profiles that are due, or that of one person if it is; returns how many. 0 while '
  'another worker is running, except for one person.';

create or replace function private.forget_behaviour() returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.mark_personality_due();
  select private.update_personality_from_behaviour(1, auth.uid());
$$;
comment on function private.forget_behaviour() is
  'Rebuilds the caller''s personality at once, without swipes if the consent to them was withdrawn: not only when the job '
  'comes to this person.';

create or replace function private.postpone_personality() returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update private.personality_due d set due_since = pg_catalog.clock_timestamp() + interval '1 day'
  where d.user_id = (
    select w.user_id from private.personality_due w join public.profiles p on p.id = w.user_id
    order by w.due_since, w.user_id limit 1 for update of w skip locked)
$$;
comment on function private.postpone_personality() is
  'Lets everybody else who is due within a day go before the person who has been due for longest.';

revoke all on function private.mark_personality_due(), private.behaviour(uuid), private.purchases_of(uuid),
  private.quiz_standing(uuid), private.update_personality_from_behaviour(integer, uuid), private.postpone_personality(),
  private.forget_behaviour() from public, anon, authenticated;
grant execute on function private.mark_personality_due() to anon, authenticated, service_role;
grant execute on function private.quiz_standing(uuid), private.update_personality_from_behaviour(integer, uuid),
  private.postpone_personality() to service_role;
