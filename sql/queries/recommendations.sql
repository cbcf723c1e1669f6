-- Ranking. A score is 0.5 and a sum of terms, between 0 and 1, because the shares of its parts add up to 1 and each part
-- lies in -1..1; it is rounded to 9 decimals, so that it is the same in every plan. docs/recommendations.md explains.

-- name: current_model()
-- The newest model, and the moment a feed is frozen at; none before the first.
select version, clock_timestamp() as until, product_count <= 2000 as is_whole
from public.recommendation_models order by version desc limit 1

-- name: model(version, user_id)
-- Whether a model is still served, and whether it may still be made for this person.
select private.has_consent(:user_id::uuid, 'personalisation') as may_be_personal
from public.recommendation_models where version = :version::int

-- name: ranked(user_id, until, model, arm, with_hidden, size, after_score, after_number, boost_facets, boost_factors)
-- The products of {candidates}, by numbers, that pass {filters}, the best first. Feeds begin with the newest model and now.
-- `is_new`: what the viewer has not swiped or put aside since. `arm` (0: none): of an experiment. `with_hidden`: also what
-- they have. The first row has `shared`; `explained` reads the rest of an explanation. Small steps, lookups by arrays and sums
-- by joins keep it fast: docs/decisions/0011.
with model as materialized (
  select m.version, t.version as trained_version, coalesce(:until::timestamptz, clock_timestamp()) as until,
    :until::timestamptz is not null as is_continued, t.serving, e.parameters, m.product_count <= 2000 as is_whole,
    case when t.version is null then (e.parameters ->> 'half_life_days')::double precision
      else (t.serving ->> 'half_life')::double precision end as half_life,  -- null: signals do not age
    coalesce((t.serving ->> 'super_like')::double precision, 1) as super_like,
    (e.parameters ->> 'prior_weight')::double precision as prior, d.*,
    :user_id::uuid is not null and private.has_consent(:user_id::uuid, 'personalisation') as is_personal,
    -- Functions are called only for those who have something to read.
    exists (select from public.recommendation_feedback where user_id = :user_id::uuid) as has_feedback,
    exists (select from public.dismissed_reasons where user_id = :user_id::uuid) as has_dismissed,
    exists (select from public.profiles where id = :user_id::uuid and preferences <> '{}') as has_stated
  from public.recommendation_models m
  left join public.trained_models t on t.version = m.trained_version and t.serving <> '{}'
  cross join lateral (select case when :arm::int = 0 then m.parameters
    else private.model_parameters(m.version, :arm::int) end as parameters offset 0) e
  cross join lateral jsonb_to_record(e.parameters -> 'discover') d (
    dislike double precision, category double precision, brand double precision, tags double precision, boost double precision,
    personality double precision, personality_events double precision, popularity double precision)
  where m.version = coalesce(:model::int, (select max(version) from public.recommendation_models))
),
-- What the person said of products up to a moment: the newest swipe per product that was not undone by then, and the
-- newest feedback. `hides`: it is not recommended again.
latest as materialized (
  (select distinct on (s.product_id) s.product_id, s.direction, s.preference_strength as strength, s.created_at as at,
    true as hides
  from public.swipes s
  where s.user_id = :user_id::uuid and not s.is_for_somebody_else and (select is_personal from model)
    and s.created_at <= (select until from model)
    and (s.undone_at is null or s.undone_at > (select until from model))
  order by s.product_id, s.created_at desc, s.id desc)
  union all
  (select f.product_id, null, f.strength, f.at, f.hides
  from model m cross join lateral private.feedback_signals(:user_id::uuid, m.until, m.parameters -> 'feedback') f
  where m.is_personal and m.has_feedback)
),
dismissed as materialized (
  select d.kind, d.key, private.facet(d.kind, d.key) as facet
  from model m cross join lateral private.dismissed_reasons(:user_id::uuid, m.until) d
  where m.has_dismissed
),
-- Zero leanings for somebody without an assessment. `personality`, `crowd` (what others like), `content` (categories, brands,
-- tags) and `boost` are shares of the score. `dislike`: how many likes a dislike counts in what was learned. `is_known`: whether
-- anything counts there.
person as materialized (
  select l.*, s.dislike, s.is_known, coalesce(h.has_quiz, false) as has_quiz, coalesce(h.x[1], 0) as adventurous, coalesce(h.x[2], 0) as intellectual,
    coalesce(h.x[3], 0) as practical, coalesce(h.x[4], 0) as creative, coalesce(h.x[5], 0) as social, s.share, s.boost,
    (1 - s.boost) * s.personality as personality, (1 - s.boost) * s.crowd as crowd,
    (1 - s.boost) * (1 - s.personality - s.crowd) as content, s.max_bias
  from (
    select n, likes, super_likes, case when n <= 3 then 'first' when n <= 10 then 'few' else 'many' end::public.table_kind as kind,
      -- The weights of a like, largest first, that are read: fewer where there are many likes.
      case when likes <= 10 then 100 when likes <= 30 then 40 when likes <= 100 then 30 else 20 end as reach
    from (
      select count(*) filter (where strength is not null)::int as n, count(*) filter (where strength >= 0.5)::int as likes,
        count(*) filter (where strength > 0.9)::int as super_likes
      from latest) c
    offset 0) l
  cross join model m
  left join (
    select assessment_method <> 'behavior' as has_quiz, array(
      select case when t.trait in (select key from dismissed where kind = 'trait') then 0 else t.leaning end
      from unnest(private.leanings(
          coalesce(combined_scores, personality_scores), coalesce(combined_confidence, confidence_level)),
        '{adventurous,intellectual,practical,creative,social}'::text[]) with ordinality t (leaning, trait, i)
      order by t.i) as x
    from public.personality_assessment_history
    where user_id = :user_id::uuid and (select is_personal from model)
      and assessment_timestamp <= (select until from model)
    order by assessment_timestamp desc, id desc limit 1) h on true
  cross join lateral (
    select c.share, c.boost, m.personality * c.share as personality,
      case when m.trained_version is null then m.popularity
        else m.popularity * c.share + (1 - c.share) * (m.serving -> 'blend' ->> l.kind::text)::double precision end as crowd,
      (case when c.is_known then m.serving -> 'largest_bias' ->> l.kind::text else m.serving ->> 'largest_share' end)
        ::double precision as max_bias, c.dislike, c.is_known
    from (
      select case when h.x is null then 0 else m.personality_events / (m.personality_events + l.n + l.super_likes) end as share,
        case when cardinality(:boost_facets::bigint[]) > 0 then m.boost else 0 end as boost,
        d.dislike, l.likes > 0 or d.dislike > 0 and l.n > 0 as is_known
      from (select coalesce((m.serving -> 'dislike' ->> l.kind::text)::double precision, 0) as dislike offset 0) d
      offset 0) c) s
),
-- `counts`: 0 where it was dismissed as a reason. `lean`: decayed; `said`: it above the product's number. `gain`: how many
-- likes it counts in what was learned; null for what says nothing.
signals as materialized (
  select s.*, coalesce(s.strength < 0.5, false) as is_disliked, round(s.lean * 1e6)::bigint * 4294967296 + s.number as said
  from (
    select f.number, f.product_id, f.facets, f.group_key, l.direction, l.hides, l.strength, x.decay, x.counts,
      x.counts * x.decay * case when l.strength < 0.5 then (2 * l.strength - 1) * m.dislike else 2 * l.strength - 1 end as lean,
      x.decay * case when l.strength < 0.5 then (select dislike from person) when l.strength > 0.9 then m.super_like
        when l.strength is not null then 1 end as gain
    from model m cross join latest l
    join public.product_features f on f.product_id = l.product_id
    cross join lateral (select
      case when m.half_life is null then 1
        else power(0.5, floor(date_part('epoch', m.until - l.at) / 86400) / m.half_life) end as decay,
      case when m.has_dismissed and l.product_id::text in (select key from dismissed where kind = 'product') then 0
        else 1 end as counts
      offset 0) x
    where f.model_version = (select version from model) and f.product_id = any (array(select product_id from latest))
    offset 0) s
),
-- `hushed`: what was dismissed. `taken`: what the products that the person disliked add, for the probability of a like.
learned as materialized (
  select w.target, sum(w.weight * s.gain * s.counts) as added, sum(w.weight * s.gain) filter (where s.counts = 0) as hushed,
    sum(w.weight * s.decay * s.counts) filter (where s.is_disliked) as taken
  from signals s
  cross join lateral (
    select target, weight from public.model_weights
    where trained_version = (select trained_version from model) and kind = (select kind from person) and source = s.number
      and rank < case when s.is_disliked then (select reach / 2 from person) else (select reach from person) end) w
  where s.gain is not null
  group by w.target
),
-- A mean with a prior: what was stated, or 0. `term`: what it adds to a product of the category or brand; `tag_term`: of one
-- tag. `said`: of the product that says most.
affinities as materialized (
  select a.facet, a.score, a.said, case a.place when 1 then m.category * a.score when 2 then m.brand * a.score else 0 end as term,
    case when a.place > 2 then m.tags * a.score else 0 end as tag_term
  from (
    select facet, max(place) as place, max(said) as said, case when facet in (select facet from dismissed) then 0
      else sum(lean) / (sum(decay) + (select prior from model)) end as score
    from (
      select unnest(facets) as facet, generate_subscripts(facets, 1) as place, lean, decay, said
      from signals where lean is not null
      union all
      select private.facet(t.kind, t.key), case t.kind when 'category' then 1 when 'brand' then 2 else 3 end,
        t.score * m.prior, 0, null
      from model m cross join lateral private.stated_affinities(:user_id::uuid) t
      where m.is_personal and m.has_stated) o
    where facet <> 0
    group by facet) a
  cross join model m
),
-- Learned sums are relative to the best that any product could reach. `crowd`: what popularity adds to the score at most.
scale as materialized (
  select s.per_point, p.crowd * coalesce(p.max_bias * s.per_point, 1) as crowd
  from person p
  cross join lateral (
    select 1 / nullif(p.max_bias + coalesce((select max(added + coalesce(hushed, 0)) from learned), 0), 0) as per_point offset 0) s
),
candidates as materialized (
{candidates}
),
features as materialized (
  select f.number, f.product_id, f.facets, f.group_key, f.popularity, coalesce(f.like_rate, f.popularity) as like_rate,
    f.adventurous, f.intellectual, f.practical, f.creative, f.social,
    (f.adventurous * p.adventurous + f.intellectual * p.intellectual + f.practical * p.practical
      + f.creative * p.creative + f.social * p.social) / 2 as match,
    case when not p.is_known then f.like_share
      else case p.kind when 'first' then f.first_bias when 'few' then f.few_bias else f.many_bias end end as bias
  from person p cross join public.product_features f
  where f.model_version = (select version from model) and f.number = any (array(select number from candidates))
    -- A swipe speaks for its variants.
    and (:with_hidden::boolean or f.group_key not in (select group_key from signals where hides))
),
contents as materialized (
  select f.number, sum(a.term) as term, sum(a.tag_term) as tag_term, sum(a.boost) as boost
  from (select number, unnest(facets) as facet from features) f
  join (
    select facet, term, tag_term, 0::double precision as boost from affinities
    union all
    select facet, 0, 0, log(2, factor)::double precision
    from unnest(:boost_facets::bigint[], :boost_factors::text[]::numeric[]) o (facet, factor)) a on a.facet = f.facet
  group by f.number
),
page as materialized (
  select f.*, r.category_id, r.brand_id, r.tags, r.is_new
  from (
    select s.*, round((0.5 + 0.5 * (
      p.personality * s.match + p.crowd * s.liking + p.content * s.content + p.boost * s.boosted)) * 1e9) / 1e9 as score
    from (
      select f.*, l.added, l.taken,
        coalesce((f.bias + coalesce(l.added, 0)) * x.per_point, f.popularity) as liking,
        coalesce(c.term + c.tag_term / greatest(cardinality(f.facets) - 2, 1), 0) as content,
        greatest(-1, least(1, coalesce(c.boost, 0))) as boosted
      from features f
      cross join scale x
      left join learned l on l.target = f.number
      left join contents c on c.number = f.number
      offset 0) s
    cross join person p
    order by score desc, s.number) f
  cross join lateral (
    select r.category_id, r.brand_id, r.tags, {is_new} as is_new
    from public.products r where r.id = f.product_id and ({filters}) offset 0) r
  where (r.is_new or (select is_personal from model))
    and (:after_score::double precision is null or f.score < :after_score::double precision
      or f.score = :after_score::double precision and f.number > :after_number::int)
  order by f.score desc, f.number
  limit :size::int
)
select g.number, g.product_id, g.group_key, g.score, g.adventurous, g.intellectual, g.practical, g.creative, g.social,
  g.match, g.content, g.liking, g.added, g.taken, g.like_rate, g.boosted, g.is_new,
  g.category_id, g.brand_id, g.facets, g.tags,
  -- All that is the same for each product of the page.
  case when g.number = (select number from page order by score desc, number limit 1) then (
    select json_build_object(
      'model', m.version, 'trained', m.trained_version, 'until', m.until, 'isPersonal', m.is_personal, 'isWhole', m.is_whole,
      'events', p.n, 'likes', p.likes, 'dislike', p.dislike, 'kind', p.kind, 'reach', p.reach, 'hasQuiz', p.has_quiz,
      'leanings', array[p.adventurous, p.intellectual, p.practical, p.creative, p.social],
      'personality', p.personality, 'crowd', p.crowd, 'content', p.content, 'boost', p.boost,
      'perPoint', (select per_point from scale), 'category', m.category, 'brand', m.brand, 'tags', m.tags,
      'signals', (
        select json_build_array(array_agg(number), array_agg(product_id), array_agg(direction), array_agg(is_disliked),
          array_agg(gain * counts))
        from signals),
      'opinions', (
        select json_build_array(array_agg(facet), array_agg(score),
          array_agg(case when score > 0 and said > 4294967296 then said & 4294967295 end))
        from affinities)
    )::text
    from model m cross join person p) end as shared
from page g
order by g.score desc, g.number

-- name: explained(trained, kind, reach, targets, sources, source_ids, strongest, categories, brands, tags)
-- What explains rows of `ranked`, by their numbers (`targets`): the weights of signals, and the names of what is in reasons.
-- `sources`: numbers of signals that add something, and of others whose names are needed (`strongest`); `source_ids`: theirs.
with weighed as materialized (
  select target, source, weight from public.model_weights
  where trained_version = :trained::int and kind = :kind::public.table_kind and source = any (:sources::int[])
    and rank < :reach::int and (target in (select unnest(:targets::int[]))) is true
)
select
  (select json_build_array(array_agg(target), array_agg(source), array_agg(weight)) from weighed)::text as weights,
  (select json_object_agg(s.number, r.name)
  from unnest(:sources::int[], :source_ids::uuid[]) s (number, id)
  cross join lateral (select name from public.products where id = s.id limit 1) r
  where s.number = any (:strongest::int[]) or (s.number in (select source from weighed)) is true)::text as products,
  (select json_object_agg(id, json_build_array(slug, name)) from public.categories where id = any (:categories::uuid[]))::text
    as categories,
  (select json_object_agg(id, json_build_array(slug, name)) from public.brands where id = any (:brands::uuid[]))::text as brands,
  (select json_object_agg(private.facet('tag', tag), tag) from (select distinct unnest(:tags::text[]) as tag) t)::text as tags

-- name: listed(filter_facets)
-- Numbers of candidates, a part of `ranked`: those that the person's likes lead to, those that suit the personality, and the
-- best of the lists of what is popular and new, of what they like best, and of a filter.
(select target as number from learned order by added desc, target limit 100)
union all
-- What suits the personality, while it counts: of the cells whose kinds may suit it best, the best kinds.
(select n.number
from person p
cross join scale x
cross join lateral (
  select k.numbers, k.likes, p.personality / 2 * (k.adventurous * p.adventurous + k.intellectual * p.intellectual
    + k.practical * p.practical + k.creative * p.creative + k.social * p.social) + x.crowd * k.likes[1] as best
  from (
    select first_kind, last_kind
    from public.model_cells
    where model_version = (select version from model)
    order by p.personality / 2 * (greatest(p.adventurous * lowest[1], p.adventurous * highest[1])
      + greatest(p.intellectual * lowest[2], p.intellectual * highest[2])
      + greatest(p.practical * lowest[3], p.practical * highest[3])
      + greatest(p.creative * lowest[4], p.creative * highest[4])
      + greatest(p.social * lowest[5], p.social * highest[5])) + x.crowd * liked desc, cell
    limit 50) c
  join public.model_kinds k on k.model_version = (select version from model) and k.kind between c.first_kind and c.last_kind
  order by best desc nulls last, k.kind limit 60) k
cross join unnest(k.numbers, k.likes) n (number, liked)
where p.share > 0.15
order by k.best + x.crowd * (n.liked - k.likes[1]) desc, n.number limit 100)
union all
-- Few products are all candidates.
(select f.number from public.product_features f
where (select is_whole from model) and f.model_version = (select version from model)
limit 2000)
union all
(select c.number
from (
  select private.facet('list', 'popular') as list, case when n <= 10 then 50 else 20 end as size from person
  union all select private.facet('list', 'new'), 10
  union all (select a.facet, case when p.n <= 10 then 12 else 8 end from affinities a, person p
    where a.score > 0 order by a.score desc, a.facet limit 8)
  union all select facet, 200 from unnest(:filter_facets::bigint[]) facet
) l
cross join lateral (
  select number from public.model_lists
  where model_version = (select version from model) and list = l.list and rank < l.size) c)

-- name: others()
-- Numbers of the products of {chunk} that pass {filters} and are not {listed}: after the candidates.
select r.number from public.products r where {chunk} and {filters} and (r.number in ({listed})) is not true

-- name: in_chunk(low, below)
r.number >= :low::int and r.number < :below::int

-- name: chunk(below)
-- The first number of the next 2,000 products, by number, that pass {filters}; null for none.
select min(number) from (
  select r.number from public.products r where r.number < :below::int and {filters}
  order by r.number desc limit 2000) c

-- name: given(product_ids)
-- Numbers of these products, instead of `listed`; a merged one stands for the product that stays.
select r.number from public.products r
where r.id = any (array(select o.product_id from public.product_offers o where o.id = any (:product_ids::uuid[])))

-- name: facets_of_boosts(categories, brands, tags)
-- Per boost the number of what it names, of which the others are null; null if unknown.
select coalesce(
  private.facet('category', (select id::text from public.categories where slug = i.category)),
  private.facet('brand', (select id::text from public.brands where slug = i.brand)),
  private.facet('tag', i.tag)) as facet
from unnest(:categories::text[], :brands::text[], :tags::text[]) with ordinality i (category, brand, tag, place)
order by i.place

-- name: facets_of_filter(categories, brands, tags, keys)
-- The lists of what a filter asks for, so that it finds more than what was chosen without it; keys are ids of categories
-- and brands.
select array(select private.facet('category', private.category_tree(slug)::text) from unnest(:categories::text[]) slug)
  || array(select private.facet('brand', id::text) from public.brands where slug = any (:brands::text[]))
  || array(select private.facet('tag', tag) from unnest(:tags::text[]) tag)
  || array(select private.facet('category', private.category_subtree(id)::text) from unnest(:keys::uuid[]) id)
  || array(select private.facet('brand', id::text) from unnest(:keys::uuid[]) id)

-- name: similar(product_ids, size)
-- Per product, those most like it by category, its parent, brand, shared tags and price, and those that people like
-- together with it. Chosen from the lists of its category, brand and tags, from what is popular, and from what goes with it. The
-- same for every caller. The limit of `wanted` limits nothing: with it a plan for any number of products seems as cheap as one
-- for these, and is kept.
with model as materialized (
  select version, trained_version, clock_timestamp() as until,
    (parameters -> 'similar' ->> 'similarity')::double precision as similarity,
    (parameters -> 'similar' ->> 'together')::double precision as together,
    (parameters -> 'similar' ->> 'popularity')::double precision as popularity
  from public.recommendation_models order by version desc limit 1
)
select page.*, m.version, m.until
from (select unnest(:product_ids::uuid[]) as id limit cardinality(:product_ids::uuid[])) wanted
join public.products o on o.id = wanted.id
join public.categories oc on oc.id = o.category_id
cross join model m
cross join lateral (
  select o.id as similar_to, r.id as product_id,
    round((0.5 + 0.5 * (m.similarity * (x.category + x.brand + x.tags + x.price) + m.together * coalesce(t.share, 0)
      + m.popularity * r.popularity)) * 1e6) / 1e6 as score,
    0.5 * m.similarity * x.category as category_term, 0.5 * m.similarity * x.brand as brand_term,
    0.5 * m.similarity * x.tags as tags_term, 0.5 * m.similarity * x.price as price_term,
    0.5 * m.together * coalesce(t.share, 0) as together_term,
    0.5 * m.popularity * r.popularity as popularity_term,
    array(select tag from unnest(o.tags) tag where tag = any (r.tags)) as shared_tags
  from public.products r
  join public.categories c on c.id = r.category_id
  left join (
    -- As a share of the largest weight, whose rank is 0.
    select target, weight / max(weight) over () as share from public.model_weights
    where trained_version = m.trained_version and kind = 'first' and source = o.number) t on t.target = r.number
  cross join lateral (
    select case when o.tags && r.tags
      then cardinality(array(select tag from unnest(o.tags) tag where tag = any (r.tags))) else 0 end as shared
    offset 0) g
  cross join lateral (select
    (case when r.category_id = o.category_id then 0.35 when c.parent_id = oc.parent_id then 0.15 else 0 end)::double precision as category,
    (case when r.brand_id = o.brand_id then 0.15 else 0 end)::double precision as brand,
    0.4 * g.shared / greatest(cardinality(o.tags) + cardinality(r.tags) - g.shared, 1)::double precision as tags,
    (case when r.currency = o.currency
      then 0.1 * least(r.price_minor, o.price_minor)::double precision / greatest(r.price_minor, o.price_minor)
      else 0 end)::double precision as price) x
  where r.is_active and r.in_stock and r.id <> o.id and r.number = any (array(
    select number from public.model_lists
    where model_version = m.version and list = any (
      private.product_facets(o.category_id, o.brand_id, o.tags) || private.facet('list', 'popular'))
    union
    select target from public.model_weights
    where trained_version = m.trained_version and kind = 'first' and source = o.number))
  order by score desc, r.number
  limit :size::int
) page

-- name: is_new_to(user_id)
-- Not swiped or put aside by feedback, also in another variant, since the feed was frozen. Part of `ranked`.
coalesce(r.item_group_key, r.number) not in (
  select coalesce(v.item_group_key, v.number)
  from public.product_signals s join public.products v on v.id = s.product_id
  where s.user_id = :user_id::uuid and (select is_continued or not is_personal from model)
    and ((select not is_personal from model) or s.swiped_at > (select until from model)))
and r.id not in (
  select b.product_id from public.recommendation_feedback b
  where b.user_id = :user_id::uuid and not b.is_for_somebody_else
    and b.feedback_type in ('not_interested', 'already_owned', 'purchased'))

-- name: is_not_avoided(user_id)
-- In no category that they said to avoid. Each function is called once, not for every product.
r.category_id <> all ((
  select private.avoided_categories(p.id) from public.profiles p
  where p.id = :user_id::uuid and p.preferences ? 'avoidCategories'
  union all select '{}' limit 1)::uuid[])

-- name: is_in_stated_prices(user_id, default_currency)
-- Within the price range that they stated; prices in other currencies are not compared.
coalesce(
  r.currency <> (select private.stated_currency(p.id, :default_currency::text) from public.profiles p
    where p.id = :user_id::uuid and p.preferences ? 'priceRange')
  or r.price_minor <@ (select private.stated_prices(p.id, :default_currency::text) from public.profiles p
    where p.id = :user_id::uuid and p.preferences ? 'priceRange'), true)

-- name: is_not_among(product_ids)
r.id <> all (array(select o.product_id from public.product_offers o where o.id = any (:product_ids::uuid[])))

-- name: store(takes_lock, product_ids, contexts, models, arms, propensities)
-- As service_role: recommendations that were acted on. Per recommendation, in the order asked for: its id, null if the product
-- was deleted; `has_personality`: whether the person has one.
select id, has_personality from private.store_recommendations(
  :takes_lock::boolean, :product_ids::uuid[], :contexts::text[], :models::int[], :arms::int[], :propensities::real[])

-- name: without_terms(user_id, product_ids)
-- Of these products those whose terms note_terms has not stored yet, with the product that each is now; none for somebody
-- without a personality, or who may not be profiled.
with stored as materialized (  -- else the planner would read everybody's of a product
  select product_id, personality_profile_id from public.personality_recommendations where user_id = :user_id::uuid
)
select distinct w.id, m.product_id
from public.personality_profiles p
cross join unnest(:product_ids::uuid[]) w (id)
join public.product_offers m on m.id = w.id
where p.user_id = :user_id::uuid and private.has_consent(:user_id::uuid, 'personalisation')
  and not exists (select from stored s where s.product_id = m.product_id and s.personality_profile_id = p.id)

-- name: note_terms(user_id, product_ids, contexts, matches, alignments, predictions, scores, reasons, factors)
-- As service_role: the terms of these products' scores for somebody with a personality, each product once.
insert into public.personality_recommendations (
  product_id, personality_profile_id, personality_match_score, category_alignment_score, behavioral_prediction,
  combined_score, confidence_level, recommendation_context, recommendation_reasons, personality_factors, is_shown, shown_at)
select i.product_id, p.id, i.match, i.alignment, i.prediction, i.score, p.confidence_level, i.context,
  i.reasons::jsonb, i.factors::jsonb, s.shown_at is not null, s.shown_at
from unnest(
  :product_ids::uuid[], :contexts::text[], :matches::double precision[], :alignments::double precision[],
  :predictions::double precision[], :scores::double precision[], :reasons::text[], :factors::text[])
  i (product_id, context, match, alignment, prediction, score, reasons, factors)
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
where user_id = :user_id::uuid
  and product_id = (select o.product_id from public.product_offers o where o.id = :product_id::uuid)

-- name: send_feedback(recommendation_id, product_id, kind, reason, rating, comment)
insert into public.recommendation_feedback (recommendation_id, product_id, feedback_type, reason, rating, comment)
select :recommendation_id::uuid, o.product_id, :kind::text, :reason::text, :rating::smallint, :comment::text
from public.product_offers o where o.id = :product_id::uuid
returning id
