-- Ranking. Every score is 0.5 + a sum of terms, bounded to 0..1 because the weights of a context add up to 1 and each
-- factor lies in -1..1; it is rounded to 6 decimals so that a cursor can name it. docs/recommendations.md explains.
-- Features are looked up product by product (limit 1 holds the planner to it): joined, all of a model would be read
-- for a few hundred candidates.

-- name: current_model(user_id)
-- The newest model, the moment a new feed is frozen at, and whether it may be made for this person; none before the
-- first.
select version, clock_timestamp() as until, product_count > (parameters -> 'candidates' ->> 'from')::int as is_large,
  private.has_consent(:user_id::uuid, 'personalisation') as is_personal
from public.recommendation_models order by version desc limit 1

-- name: state(user_id, product_ids)
-- current_model, with all that a first page follows from beside the model: what the person did, as a text that differs
-- when it does; and how many of these products can be bought.
select version, clock_timestamp() as until, product_count > (parameters -> 'candidates' ->> 'from')::int as is_large,
  private.has_consent(:user_id::uuid, 'personalisation') as is_personal,
  concat_ws(' ',
    (select (count(*), max(created_at), count(undone_at), max(undone_at)) from public.swipes where user_id = :user_id::uuid),
    (select (count(*), max(created_at)) from public.recommendation_feedback where user_id = :user_id::uuid),
    (select (count(*), max(assessment_timestamp)) from public.personality_assessment_history
      where user_id = :user_id::uuid)) as acts,
  (select count(*)::int from public.products
    where id = any (:product_ids::uuid[]) and is_active and in_stock) as available
from public.recommendation_models order by version desc limit 1

-- name: model(version, user_id)
-- Whether a model that is still served is ranked from candidates, and whether it may still be made for this person.
select coalesce(product_count > (parameters -> 'candidates' ->> 'from')::int, false) as is_large,
  private.has_consent(:user_id::uuid, 'personalisation') as may_be_personal
from public.recommendation_models where version = :version::int

-- name: lists_for(user_id, until, model, arm)
-- What a person's candidates are drawn from: what is popular, what suits each of their traits, and the dozen
-- categories, brands and tags that they like best. What ranks them in this transaction is planned for them: a plan for
-- anybody, which Postgres would go over to after five times, takes three times as long.
with parameters as (
  select (parameters ->> 'half_life_days')::double precision as half_life,
    (parameters ->> 'prior_weight')::double precision as prior
  from private.model_parameters(:model::int, :arm::int) parameters
),
leanings as (
  select trait, private.number_of(personality_scores, trait, 0, 100) - 50 as lean
  from (
    select coalesce(combined_scores, personality_scores) as personality_scores
    from public.personality_assessment_history
    where user_id = :user_id::uuid and assessment_timestamp <= :until::timestamptz
    order by assessment_timestamp desc, id desc limit 1) latest
  cross join unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) trait
),
liked as (
  select l.list
  from private.weighted_signals(:user_id::uuid, :until::timestamptz, true, (select half_life from parameters)) s
  cross join lateral private.candidate_lists(s.category_id, s.brand_id, s.tags) l (list)
  where l.list <> 'popular'
  group by l.list having sum(s.weight * s.lean) > 0
  order by sum(s.weight * s.lean) / (sum(s.weight) + (select prior from parameters)) desc, l.list limit 12
)
select array['popular']
  || array(select case when lean > 0 then '+' else '-' end || trait from leanings where lean <> 0 order by trait)
  || array(select list from liked) as lists,
  set_config('plan_cache_mode', 'force_custom_plan', true)

-- name: lists_of_wishes(leanings, contexts)
-- Of the gift finder: what is popular, the traits asked for, and the tags that the rules favour.
select array['popular']
  || array(select '+' || trait from unnest(:leanings::double precision[],
      array['adventurous', 'intellectual', 'practical', 'creative', 'social']) l (lean, trait) where lean > 0)
  || array(select distinct 'tag:' || tag from public.gift_context_rules
      where kind || ':' || value = any (:contexts::text[]) and weight > 0)
  || array(select distinct 'category:' || c.id
      from public.gift_context_categories k
      join public.categories c on c.taxonomy_id in (select private.gift_subtree(k.taxonomy_id))
      where k.kind || ':' || k.value = any (:contexts::text[]) and k.weight > 0 limit 200)

-- name: lists_of_filter(categories, brands, tags)
-- What a filter asks for, so that it finds more than what was chosen without it.
select array(select 'category:' || private.category_tree(slug) from unnest(:categories::text[]) slug)
  || array(select 'brand:' || id from public.brands where slug = any (:brands::text[]))
  || array(select 'tag:' || tag from unnest(:tags::text[]) tag)

-- name: is_candidate(model, lists)
r.id = any (private.candidates(:model::int, :lists::text[]))

-- name: discover(user_id, until, model, arm, size, after_score, after_id)
with parameters as (
  select (parameters -> 'discover' ->> 'personality')::double precision as personality,
    (parameters -> 'discover' ->> 'preference')::double precision as preference,
    (parameters -> 'discover' ->> 'popularity')::double precision as popularity,
    (parameters ->> 'half_life_days')::double precision as half_life,
    (parameters ->> 'prior_weight')::double precision as prior
  from private.model_parameters(:model::int, :arm::int) parameters
  where parameters is not null
),
-- Zero for somebody of whom there is no assessment. Only a quiz adds to the evidence: what the swipes say of the
-- personality is counted with the signals already.
person as materialized (
  select coalesce(bool_or(method <> 'behavior'), false) as has_personality,
    coalesce(max(x[1]), 0) as adventurous, coalesce(max(x[2]), 0) as intellectual, coalesce(max(x[3]), 0) as practical,
    coalesce(max(x[4]), 0) as creative, coalesce(max(x[5]), 0) as social
  from (
    select assessment_method as method, private.leanings(
      coalesce(combined_scores, personality_scores), coalesce(combined_confidence, confidence_level)) as x
    from public.personality_assessment_history
    where user_id = :user_id::uuid and assessment_timestamp <= :until::timestamptz
    order by assessment_timestamp desc, id desc limit 1) latest
),
signals as materialized (
  select * from private.weighted_signals(
    :user_id::uuid, :until::timestamptz, true, (select half_life from parameters))
),
affinities as materialized (
  select f.kind, f.key, sum(s.weight * s.lean) as n, sum(s.weight) + (select prior from parameters) as d,
    sum(s.weight * s.lean) / (sum(s.weight) + (select prior from parameters)) as score
  from signals s cross join lateral (
    select 'category' as kind, s.category_id::text as key
    union all select 'brand', s.brand_id::text where s.brand_id is not null
    union all select 'tag', tag from unnest(s.tags) tag
  ) f
  group by 1, 2
),
-- Looked up by name for each tag of each product, instead of going through all affinities.
tag_scores as materialized (
  select coalesce(jsonb_object_agg(key, score), '{}') as scores from affinities where kind = 'tag'
),
factors as (
  select r.id,
    (a.adventurous * coalesce(f.adventurous, 0) + a.intellectual * coalesce(f.intellectual, 0)
      + a.practical * coalesce(f.practical, 0) + a.creative * coalesce(f.creative, 0)
      + a.social * coalesce(f.social, 0)) / 2 as personality,
    0.5 * coalesce(c.score, 0) + 0.2 * coalesce(b.score, 0) + 0.3 * coalesce(g.score, 0) as preference,
    coalesce(f.popularity, r.popularity)::double precision as popularity
  from public.products r
  cross join person a
  left join lateral (
    select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
  left join affinities c on c.kind = 'category' and c.key = r.category_id::text
  left join affinities b on b.kind = 'brand' and b.key = r.brand_id::text
  cross join lateral (
    select sum((t.scores ->> tag)::double precision) / cardinality(r.tags) as score
    from tag_scores t cross join unnest(r.tags) tag) g
  where r.is_active and ({filters})
),
scored as materialized (
  select t.*, round((0.5 + 0.5 * (
      p.personality * t.personality + p.preference * t.preference + p.popularity * t.popularity)) * 1e6) / 1e6 as score
  from factors t cross join parameters p
),
page as (
  select * from scored
  where :after_score::double precision is null
    or (score, id) < (:after_score::double precision, :after_id::uuid)
  order by score desc, id desc
  limit :size::int
)
select r.id as product_id, g.score, g.personality, g.preference, g.popularity,
  array[a.adventurous * f.adventurous, a.intellectual * f.intellectual, a.practical * f.practical,
    a.creative * f.creative, a.social * f.social]::double precision[] as trait_factors,
  p.personality / 4 as trait_weight,
  array[a.adventurous, a.intellectual, a.practical, a.creative, a.social] as leanings, a.has_personality,
  0.5 * p.popularity * g.popularity as popularity_term,
  (select count(*) from signals) as signals,
  '[]'::jsonb as context_terms,
  coalesce(because.list, '[]') as because
from page g
join public.products r on r.id = g.id
left join lateral (
  select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
cross join parameters p
cross join person a
-- What the score would lose had this product not been liked: the affinities without its signal.
left join lateral (
  select jsonb_agg(jsonb_build_object('name', w.name, 'direction', w.direction, 'weight', w.loss) order by w.loss desc, w.name) as list
  from (
    select s.name, s.direction, round((0.5 * p.preference * sum(  -- rounded, so that equals are equal in every plan
      k.share * (k.score - (k.n - s.weight * s.lean) / nullif(k.d - s.weight, 0))))::numeric, 9)::double precision as loss
    from (  -- the product's few affinities first, then the person's many signals
      select f.kind, f.key, f.share, a.score, a.n, a.d
      from (
        select 'category' as kind, r.category_id::text as key, 0.5::double precision as share
        union all select 'brand', r.brand_id::text, 0.2::double precision
        union all select 'tag', tag, 0.3::double precision / cardinality(r.tags) from unnest(r.tags) tag
      ) f
      join affinities a on a.kind = f.kind and a.key = f.key
    ) k
    join signals s on case k.kind
      when 'category' then s.category_id = r.category_id
      when 'brand' then s.brand_id = r.brand_id
      else k.key = any (s.tags) end
    where s.swipe_id is not null and s.lean > 0
    group by s.swipe_id, s.name, s.direction
    order by loss desc, s.name, s.swipe_id
    limit 2
  ) w
) because on true
order by g.score desc, r.id desc

-- name: again(user_id, product_ids, models, arms, are_own)
-- Products of signed ids, ranked now: `discover` for each model and arm. By the newest model where theirs is gone; as
-- for anybody where they are not of the person's own feed, or it may not be personal.
select fed.shown_by, fed.arm, fed.is_own, fed.until, d.*
from (
  select i.model as shown_by, coalesce(m.version, (select max(version) from public.recommendation_models)) as model,
    i.arm, i.is_own, clock_timestamp() as until,
    case when i.is_own and private.has_consent(:user_id::uuid, 'personalisation') then :user_id::uuid end as user_id,
    array_agg(i.product_id) as product_ids
  from unnest(:product_ids::uuid[], :models::int[], :arms::int[], :are_own::boolean[]) i (product_id, model, arm, is_own)
  left join public.recommendation_models m on m.version = i.model
  group by i.model, m.version, i.arm, i.is_own
) fed
cross join lateral (
{statement}
) d

-- name: gift_finder(model, leanings, occasion, contexts, size, after_score, after_id)
-- For somebody else: the traits asked for instead of a personality, rules of the occasion, relationship and age
-- (`contexts`: "kind:value") instead of preferences. The same for every caller.
with parameters as (
  select (parameters -> 'gift_finder' ->> 'personality')::double precision as personality,
    (parameters -> 'gift_finder' ->> 'context')::double precision as context,
    (parameters -> 'gift_finder' ->> 'popularity')::double precision as popularity
  from public.recommendation_models where version = :model::int
),
-- The leanings as far as they count for a kind of gift on this occasion; in full without one, or for an unknown kind.
occasional as materialized (
  select o.taxonomy_id, array(
    select l.leaning * o.relevances[l.i] from unnest(:leanings::double precision[]) with ordinality l (leaning, i)
    order by l.i) as x
  from private.occasion_relevances(:occasion::text) o
),
-- A rule names a tag, or a gift category with those below it.
rules as materialized (
  select kind, value, tag, null::uuid as taxonomy_id, weight::double precision
  from public.gift_context_rules where kind || ':' || value = any (:contexts::text[])
  union all
  select r.kind, r.value, null, private.gift_subtree(r.taxonomy_id), r.weight
  from public.gift_context_categories r where r.kind || ':' || r.value = any (:contexts::text[])
),
factors as (
  select r.id,
    (a.x[1] * coalesce(f.adventurous, 0) + a.x[2] * coalesce(f.intellectual, 0) + a.x[3] * coalesce(f.practical, 0)
      + a.x[4] * coalesce(f.creative, 0) + a.x[5] * coalesce(f.social, 0)) / 2 as personality,
    greatest(-1, least(1, coalesce((
      select sum(k.weight) from rules k where k.tag = any (r.tags) or k.taxonomy_id = c.taxonomy_id), 0)))::double precision
      as context,
    coalesce(f.popularity, r.popularity)::double precision as popularity
  from public.products r
  join public.categories c on c.id = r.category_id
  left join occasional known on known.taxonomy_id = c.taxonomy_id
  cross join lateral (select coalesce(known.x, :leanings::double precision[]) as x) a
  left join lateral (
    select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
  where r.is_active and ({filters})
),
scored as materialized (
  select t.*, round((0.5 + 0.5 * (
      p.personality * t.personality + p.context * t.context + p.popularity * t.popularity)) * 1e6) / 1e6 as score
  from factors t cross join parameters p
),
page as (
  select * from scored
  where :after_score::double precision is null
    or (score, id) < (:after_score::double precision, :after_id::uuid)
  order by score desc, id desc
  limit :size::int
)
select r.id as product_id, g.score, g.personality, 0::double precision as preference, g.popularity,
  array[a.x[1] * f.adventurous, a.x[2] * f.intellectual, a.x[3] * f.practical, a.x[4] * f.creative,
    a.x[5] * f.social]::double precision[] as trait_factors,
  p.personality / 4 as trait_weight,
  a.x as leanings, true as has_personality,
  0.5 * p.popularity * g.popularity as popularity_term,
  0::bigint as signals,
  -- What the score would lose without the rule: nothing where the others alone reach the bound.
  coalesce((
    select jsonb_agg(jsonb_build_object('kind', k.kind, 'value', k.value,
      'weight', 0.5 * p.context * (
        greatest(-1, least(1, k.total)) - greatest(-1, least(1, k.total - k.weight)))))
    from (
      select kind, value, sum(weight)::double precision as weight, sum(sum(weight)) over ()::double precision as total
      from rules where tag = any (r.tags) or taxonomy_id = c.taxonomy_id group by kind, value) k), '[]') as context_terms,
  '[]'::jsonb as because
from page g
join public.products r on r.id = g.id
join public.categories c on c.id = r.category_id
left join occasional known on known.taxonomy_id = c.taxonomy_id
cross join lateral (select coalesce(known.x, :leanings::double precision[]) as x) a
left join lateral (
  select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
cross join parameters p
order by g.score desc, r.id desc

-- name: similar(product_ids, model, is_large, size)
-- Per product, those most like it: category, its parent, brand, shared tags and price. The same for every caller. Of a
-- large model those that share a category, brand or tag; one half of the union is never run.
with parameters as (
  select (parameters -> 'similar' ->> 'similarity')::double precision as similarity,
    (parameters -> 'similar' ->> 'popularity')::double precision as popularity
  from public.recommendation_models where version = :model::int
)
select page.*
from unnest(:product_ids::uuid[]) wanted (id)
join public.products o on o.id = wanted.id
join public.categories oc on oc.id = o.category_id
cross join parameters p
cross join lateral (
  select o.id as similar_to, r.id as product_id, 
    round((0.5 + 0.5 * (p.similarity * (x.category + x.brand + x.tags + x.price)
      + p.popularity * coalesce(f.popularity, r.popularity))) * 1e6) / 1e6 as score,
    0.5 * p.similarity * x.category as category_term, 0.5 * p.similarity * x.brand as brand_term,
    0.5 * p.similarity * x.tags as tags_term, 0.5 * p.similarity * x.price as price_term,
    0.5 * p.popularity * coalesce(f.popularity, r.popularity) as popularity_term,
    coalesce(f.popularity, r.popularity)::double precision as popularity,
    array(select tag from unnest(o.tags) tag where tag = any (r.tags)) as shared_tags
  from (
    select * from public.products where not :is_large::boolean
    union all
    select * from public.products where :is_large::boolean and id = any (
      private.candidates(:model::int, array(select private.candidate_lists(o.category_id, o.brand_id, o.tags))))
  ) r
  join public.categories c on c.id = r.category_id
  left join lateral (
    select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
  cross join lateral (select cardinality(array(
    select tag from unnest(o.tags) tag where tag = any (r.tags))) as shared) g
  cross join lateral (select
    (case when r.category_id = o.category_id then 0.35 when c.parent_id = oc.parent_id then 0.15 else 0 end)::double precision as category,
    (case when r.brand_id = o.brand_id then 0.15 else 0 end)::double precision as brand,
    0.4 * g.shared / greatest(cardinality(o.tags) + cardinality(r.tags) - g.shared, 1)::double precision as tags,
    (case when r.currency = o.currency
      then 0.1 * least(r.price_minor, o.price_minor)::double precision / greatest(r.price_minor, o.price_minor)
      else 0 end)::double precision as price) x
  where r.is_active and r.in_stock and r.id <> o.id
  order by score desc, r.id desc
  limit :size::int
) page

-- name: is_new_to(user_id)
-- Neither swiped by now nor put aside by feedback.
r.id not in (
  select product_id from public.product_signals where user_id = :user_id::uuid
  union
  select product_id from public.recommendation_feedback
  where user_id = :user_id::uuid and feedback_type in ('not_interested', 'already_owned', 'purchased'))

-- name: record(product_ids, contexts, models, arms, propensities)
-- Recommendations that were acted on; one already known stays as it is. Positions and times come with impressions.
insert into public.recommendations (product_id, recommendation_context, model_version, arm, propensity, generated_at)
-- Spaced, because of a key of earlier releases.
select i.product_id, i.context, i.model, i.arm, i.propensity, clock_timestamp() + min(i.n) * interval '1 microsecond'
from unnest(:product_ids::uuid[], :contexts::text[], :models::int[], :arms::int[], :propensities::real[])
  with ordinality i (product_id, context, model, arm, propensity, n)
join public.products p on p.id = i.product_id
group by 1, 2, 3, 4, 5
on conflict (user_id, product_id, recommendation_context, model_version, arm, propensity) where arm is not null do nothing

-- name: find(user_id, product_ids, contexts, models, arms, propensities)
-- The stored recommendations, in the order asked for; id is null where there is none.
select r.id
from unnest(:product_ids::uuid[], :contexts::text[], :models::int[], :arms::int[], :propensities::real[])
  with ordinality i (product_id, context, model, arm, propensity, position)
left join public.recommendations r on r.user_id = :user_id::uuid and r.product_id = i.product_id
  and r.recommendation_context = i.context and r.model_version = i.model and r.arm = i.arm
  and r.propensity = i.propensity
order by i.position

-- name: without_terms(user_id, product_ids)
-- Of these products those whose terms note_terms has not stored yet; none for somebody without a personality, or who may
-- not be profiled.
select array_agg(distinct w.id) as product_ids
from public.personality_profiles p
cross join unnest(:product_ids::uuid[]) w (id)
where p.user_id = :user_id::uuid and private.has_consent(:user_id::uuid, 'personalisation')
  and not exists (
    select from public.personality_recommendations o
    where o.user_id = :user_id::uuid and o.product_id = w.id and o.personality_profile_id = p.id)

-- name: note_terms(user_id, product_ids, contexts, matches, alignments, predictions, scores)
-- As service_role: the terms of these products' scores for somebody with a personality, each product once.
insert into public.personality_recommendations (
  product_id, personality_profile_id, personality_match_score, category_alignment_score, behavioral_prediction,
  combined_score, confidence_level, recommendation_context, is_shown, shown_at)
select i.product_id, p.id, i.match, i.alignment, i.prediction, i.score, p.confidence_level, i.context,
  s.shown_at is not null, s.shown_at
from unnest(
  :product_ids::uuid[], :contexts::text[], :matches::double precision[], :alignments::double precision[],
  :predictions::double precision[], :scores::double precision[])
  i (product_id, context, match, alignment, prediction, score)
join public.personality_profiles p on p.user_id = :user_id::uuid
cross join lateral (
  select min(m.shown_at) as shown_at from public.impressions m
  where m.user_id = :user_id::uuid and m.product_id = i.product_id) s
on conflict (user_id, product_id, personality_profile_id) do nothing

-- name: note_outcome(user_id, product_id, direction, is_purchased)
update public.personality_recommendations set
  is_swiped = is_swiped or :direction::text is not null,
  swipe_direction = coalesce(:direction::text::public.swipe_direction, swipe_direction),
  is_purchased = is_purchased or :is_purchased::boolean,
  interacted_at = now()
where user_id = :user_id::uuid and product_id = :product_id::uuid

-- name: send_feedback(recommendation_id, product_id, kind, rating, comment)
insert into public.recommendation_feedback (recommendation_id, product_id, feedback_type, rating, comment)
values (:recommendation_id, :product_id, :kind, :rating, :comment)
returning id
