-- Gifts for somebody else. Scores as in recommendations.sql; docs/recommendations.md explains.

-- name: lists(leanings, contexts)
-- Of the gift finder: what is popular and new, the traits asked for, and the tags and kinds of gifts that the rules favour.
select array[private.facet('list', 'popular'), private.facet('list', 'new')]
  || array(select private.facet('+', trait) from unnest(:leanings::double precision[],
      array['adventurous', 'intellectual', 'practical', 'creative', 'social']) l (lean, trait) where lean > 0)
  || array(select distinct private.facet('tag', tag) from public.gift_context_rules
      where kind || ':' || value = any (:contexts::text[]) and weight > 0)
  || array(select distinct private.facet('category', c.id::text)
      from public.gift_context_categories k
      join public.categories c on c.taxonomy_id in (select private.gift_subtree(k.taxonomy_id))
      where k.kind || ':' || k.value = any (:contexts::text[]) and k.weight > 0 limit 200)

-- name: is_listed(model, lists)
r.number = any (array(
  select number from public.model_lists where model_version = :model::int and list = any (:lists::bigint[])))

-- name: is_not_listed(model, lists)
r.number not in (
  select number from public.model_lists where model_version = :model::int and list = any (:lists::bigint[]))

-- name: ranked(model, leanings, occasion, contexts, size, after_score, after_number)
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
  select r.id, r.number,
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
    or score < :after_score::double precision
    or score = :after_score::double precision and number > :after_number::int
  order by score desc, number
  limit :size::int
)
select r.id as product_id, r.number, coalesce(f.group_key, r.item_group_key, r.number) as group_key, r.category_id, g.score, true as is_new,
  array[coalesce(f.adventurous, 0), coalesce(f.intellectual, 0), coalesce(f.practical, 0), coalesce(f.creative, 0),
    coalesce(f.social, 0)]::double precision[] as traits,
  p.personality / 4 as trait_weight,
  a.x as leanings,
  0.5 * p.popularity * g.popularity as popularity_term,
  -- Where the rules together are beyond the bound, each has its share of it.
  coalesce((
    select jsonb_agg(jsonb_build_object('kind', k.kind, 'value', k.value,
      'weight', 0.5 * p.context * k.weight * case when abs(k.total) > 1 then 1 / abs(k.total) else 1 end))
    from (
      select kind, value, sum(weight)::double precision as weight, sum(sum(weight)) over ()::double precision as total
      from rules where tag = any (r.tags) or taxonomy_id = c.taxonomy_id group by kind, value) k), '[]')::text as context_terms
from page g
join public.products r on r.id = g.id
join public.categories c on c.id = r.category_id
left join occasional known on known.taxonomy_id = c.taxonomy_id
cross join lateral (select coalesce(known.x, :leanings::double precision[]) as x) a
left join lateral (
  select * from public.product_features f where f.model_version = :model::int and f.product_id = r.id limit 1) f on true
cross join parameters p
order by g.score desc, r.number
