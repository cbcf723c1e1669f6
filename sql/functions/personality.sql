-- How well a product suits a person. One formula for models, for stored outcomes and for callers by name:
-- docs/recommendations.md.

-- Rounded, because a numeric may be too small for a double, which is an error and not 0.
create or replace function private.number_of(p_object jsonb, p_key text, p_low numeric, p_high numeric)
returns double precision
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return case when jsonb_typeof(p_object -> p_key) = 'number'
  then round(greatest(p_low, least(p_high, (p_object ->> p_key)::numeric)), 30)::double precision end;
comment on function private.number_of(jsonb, text, numeric, numeric) is
  'A number in an object, clamped to these bounds; null if it is missing or not a number.';

create or replace function private.trait_numbers(p_object jsonb, p_low numeric, p_high numeric) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return (
  select jsonb_object_agg(t, private.number_of(p_object, t, p_low, p_high))
  from unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) t);
comment on function private.trait_numbers(jsonb, numeric, numeric) is
  'An object with the five traits alone, each within these bounds, or null where it is no number.';

-- One row per trait that the category, or the nearest above it, has a mapping for.
create or replace function private.gift_mappings(p_taxonomy uuid)
returns table (trait text, weight double precision, occasions jsonb, prices jsonb)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive nodes (id, parent_id, depth) as (
    select id, parent_id, 0 from public.gift_categories where id = p_taxonomy
    union all
    select g.id, g.parent_id, n.depth + 1
    from nodes n join public.gift_categories g on g.id = n.parent_id where n.depth < 10
  )
  select distinct on (m.personality_type) m.personality_type,
    round(m.recommendation_weight * m.confidence_score
      * case m.evidence_strength when 'high' then 1 when 'medium' then 0.8 else 0.6 end, 4)::double precision,
    m.occasion_relevance, m.price_range_modifier
  from nodes n join public.personality_gift_mappings m on m.taxonomy_id = n.id and m.algorithm_version = '1.0'
  order by m.personality_type, n.depth
$$;
comment on function private.gift_mappings(uuid) is
  'What the mappings say of a gift category. weight: -1..1, the recommendation weight as far as its evidence is trusted.';

create or replace function private.band_alignments(p_category uuid, p_band integer) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(pg_catalog.jsonb_object_agg(m.trait, m.weight), '{}')
      || coalesce(pg_catalog.jsonb_build_object('price_factors',
        pg_catalog.jsonb_object_agg(m.trait, 1 + f.modifier) filter (where f.modifier <> 0)), '{}')
    from private.gift_mappings((select taxonomy_id from public.categories where id = p_category)) m
    cross join lateral (select private.number_of(
      m.prices, case p_band when -1 then 'low' when 1 then 'high' end, -1, 1) as modifier) f
  );
end
$$;
comment on function private.band_alignments(uuid, integer) is
  'private.category_alignments() of a cheap (-1), usual (0) or dear (1) product.';

-- With its owner's rights: medians of the catalogue are nobody's secret, but their table is the model's.
create or replace function private.price_band(p_category uuid, p_price_minor bigint, p_currency text) returns integer
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((
    select case when p_price_minor * 2 < g.median_minor then -1 when p_price_minor > 2 * g.median_minor then 1 else 0 end
    from public.categories c join private.gift_prices g on g.taxonomy_id = c.taxonomy_id
    where c.id = p_category and g.currency = p_currency::char(3)), 0)
$$;
comment on function private.price_band(uuid, bigint, text) is
  '-1 below half, 1 above twice the median price of the gift category in this currency; else, or where unknown, 0.';

create or replace function private.category_alignments(
  p_category uuid, p_price_minor bigint default null, p_currency text default null) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select private.band_alignments(p_category, private.price_band(p_category, p_price_minor, p_currency))
$$;
comment on function private.category_alignments(uuid, bigint, text) is
  '{"trait": -1..1}: how the mappings see the gift category of this category, with {"price_factors": {"trait": 0..2}} '
  'where a price matters.';

-- plpgsql keeps its plan between calls: a model asks once per kind of product. private.number_of() has a search_path, so it
-- is not inlined: only the tags that a mapping names are read.
create or replace function private.trait_features(p_tags jsonb, p_alignments jsonb) returns double precision[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with tags (tag, weight) as materialized (
      select distinct e.value #>> '{}', 1::double precision
      from pg_catalog.jsonb_array_elements(
        case when pg_catalog.jsonb_typeof(p_tags) = 'array' then p_tags else '[]' end) e
      where pg_catalog.jsonb_typeof(e.value) = 'string'
      union all
      select k.key, private.number_of(p_tags, k.key, -1, 1)
      from pg_catalog.jsonb_object_keys(
        case when pg_catalog.jsonb_typeof(p_tags) = 'object' then p_tags else '{}' end) k (key)
    ),
    tagged as (
      select m.personality_type as trait, sum(g.weight * m.weight) as value
      from tags g join public.personality_tag_mappings m on m.tag = g.tag
      group by m.personality_type
    ),
    raw as (
      select t.position, greatest(-1, least(1,
        coalesce(private.number_of(p_alignments -> 'price_factors', t.trait, 0, 2), 1) * (
          0.5 * coalesce(private.number_of(p_alignments, t.trait, -1, 1), 0)
          + 0.5 * greatest(-1, least(1, coalesce(g.value, 0) / 1.5))))) as value
      from pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
        with ordinality t (trait, position)
      left join tagged g on g.trait = t.trait
    )
    select pg_catalog.array_agg(value / greatest(1, (select sum(abs(value)) / 2 from raw)) order by position) from raw
  );
end
$$;
comment on function private.trait_features(jsonb, jsonb) is
  'How well these tags and alignments suit each trait: -1..1, at most 2 in absolute sum.';

create or replace function private.leanings(p_scores jsonb, p_confidence double precision) returns double precision[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select pg_catalog.array_agg(
    coalesce(private.number_of(p_scores, t.trait, 0, 100) - 50, 0) / 50
      * greatest(0.05, least(1, coalesce(p_confidence, 0.5) / 0.5)) order by t.position)
  from pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
    with ordinality t (trait, position)
$$;
comment on function private.leanings(jsonb, double precision) is
  'Per trait -1..1: how far its score lies from 50, in full from a confidence of 0.5 on. Without any confidence it still '
  'orders what nothing else does.';

create or replace function private.match_terms(p_leanings double precision[], p_features double precision[])
returns table (trait text, contribution double precision)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select t.trait, coalesce(
    (private.default_model_parameters() ->> 'match_scale')::double precision * 0.25 * t.leaning * t.feature, 0)
  from unnest(
    array['adventurous', 'intellectual', 'practical', 'creative', 'social'], p_leanings, p_features)
    t (trait, leaning, feature)
$$;
comment on function private.match_terms(double precision[], double precision[]) is
  'What each trait adds to the match of a person''s leanings with a product''s features.';

create or replace function private.match_of(p_leanings double precision[], p_features double precision[])
returns double precision
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select greatest(0, least(1, 0.5 + sum(contribution))) from private.match_terms(p_leanings, p_features)
$$;
comment on function private.match_of(double precision[], double precision[]) is
  '0..1, 0.5 is neither: 0.5 and the terms.';

create or replace function public.calculate_personality_product_match(
  p_personality_scores jsonb, p_product_tags jsonb, p_category_mappings jsonb)
returns numeric
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select round((case when a.alignment is null then m.match else 0.8 * m.match + 0.2 * a.alignment end)::numeric, 4)
  from (
    select private.match_of(
      private.leanings(p_personality_scores, 1), private.trait_features(p_product_tags, p_category_mappings)) as match
  ) m
  cross join (select private.number_of(p_category_mappings, 'alignment_score', 0, 1)) a (alignment)
$$;
comment on function public.calculate_personality_product_match(jsonb, jsonb, jsonb) is
  'How well a product suits a personality, 0..1; 0.5 is neutral. Scores: {"trait": 0..100}, 50 if one is missing. Tags: '
  'an array of names, or {"tag": -1..1}. Mappings: {"trait": -1..1} for each trait that the category suits or repels '
  'and, optionally, {"price_factors": {"trait": 0..2}} and {"alignment_score": 0..1}, how much the person likes the '
  'category, which then makes up a fifth of the result. Numbers are clamped to their bounds; unknown members and values '
  'that are not numbers are ignored.';

revoke all on function private.trait_numbers(jsonb, numeric, numeric) from public, anon, authenticated;
grant execute on function private.trait_numbers(jsonb, numeric, numeric) to service_role;

create or replace function private.gift_subtree(p_taxonomy uuid) returns setof uuid
language sql stable rows 10
set search_path = pg_catalog, pg_temp
as $$
  with recursive tree as (
    select p_taxonomy as id
    union
    select g.id from public.gift_categories g join tree t on g.parent_id = t.id
  )
  select id from tree
$$;
comment on function private.gift_subtree(uuid) is 'A gift category and all below it.';

-- All gift categories in one pass: private.gift_mappings() for each of them would take a tenth of a second.
create or replace function private.occasion_relevances(p_occasion text)
returns table (taxonomy_id uuid, relevances double precision[])
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive nodes (id, at, parent_id, depth) as (
    select id, id, parent_id, 0 from public.gift_categories where p_occasion is not null
    union all
    select n.id, g.id, g.parent_id, n.depth + 1
    from nodes n join public.gift_categories g on g.id = n.parent_id where n.depth < 10
  ),
  nearest as (
    select distinct on (n.id, m.personality_type) n.id, m.personality_type as trait, m.occasion_relevance as occasions
    from nodes n join public.personality_gift_mappings m on m.taxonomy_id = n.at and m.algorithm_version = '1.0'
    order by n.id, m.personality_type, n.depth
  )
  select g.id, pg_catalog.array_agg(
    coalesce(private.number_of(n.occasions, p_occasion, 0, 1), 1) order by t.position)
  from public.gift_categories g
  cross join pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
    with ordinality t (trait, position)
  left join nearest n on n.id = g.id and n.trait = t.trait
  where p_occasion is not null
  group by g.id
$$;
comment on function private.occasion_relevances(text) is
  'How much each trait counts for a gift category on an occasion, 0..1; no rows without an occasion.';

revoke all on function private.number_of(jsonb, text, numeric, numeric), private.gift_mappings(uuid),
  private.band_alignments(uuid, integer), private.price_band(uuid, bigint, text),
  private.category_alignments(uuid, bigint, text), private.trait_features(jsonb, jsonb),
  private.leanings(jsonb, double precision), private.match_terms(double precision[], double precision[]),
  private.match_of(double precision[], double precision[]), private.occasion_relevances(text), private.gift_subtree(uuid),
  public.calculate_personality_product_match(jsonb, jsonb, jsonb) from public;
grant execute on function private.number_of(jsonb, text, numeric, numeric), private.gift_mappings(uuid),
  private.band_alignments(uuid, integer), private.price_band(uuid, bigint, text),
  private.category_alignments(uuid, bigint, text), private.trait_features(jsonb, jsonb),
  private.leanings(jsonb, double precision), private.match_terms(double precision[], double precision[]),
  private.match_of(double precision[], double precision[]), private.occasion_relevances(text), private.gift_subtree(uuid),
  public.calculate_personality_product_match(jsonb, jsonb, jsonb)
  to anon, authenticated, service_role;
