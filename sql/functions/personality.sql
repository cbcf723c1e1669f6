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
  'A member of an object within these bounds; null where it is no number or there is none.';

create or replace function private.trait_numbers(p_object jsonb, p_low numeric, p_high numeric) returns jsonb
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return (
  select jsonb_object_agg(t, private.number_of(p_object, t, p_low, p_high))
  from unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) t);
comment on function private.trait_numbers(jsonb, numeric, numeric) is
  'An object with the five traits alone, each within these bounds, or null where it is no number.';

create or replace function private.category_alignments(p_category uuid) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    with recursive ancestors as (
      select id, parent_id, slug from public.categories where id = p_category
      union
      select c.id, c.parent_id, c.slug from public.categories c join ancestors a on c.id = a.parent_id
    )
    select coalesce(pg_catalog.jsonb_object_agg(m.personality_type, case
      when exists (select from ancestors a where a.slug = any (m.recommended_categories)) then 1
      when exists (select from ancestors a where a.slug = any (m.avoided_categories)) then -1
      else 0 end), '{}')
    from public.personality_gift_mappings m where m.algorithm_version = '1.0'
  );
end
$$;
comment on function private.category_alignments(uuid) is
  '{"trait": 1, -1 or 0}: whether the mappings recommend the category, or one above it, avoid one, or say nothing.';

-- plpgsql keeps its plan between calls: a model asks once per product. private.number_of() has a search_path, so it is not
-- inlined: only the tags that a mapping names are read.
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
    raw as (
      select t.position, coalesce(m.recommendation_weight::double precision * (
          0.5 * coalesce(private.number_of(p_alignments, t.trait, -1, 1), 0)
          + 0.5 * greatest(-1, least(1, (
            select coalesce(sum(g.weight * private.number_of(m.product_tags, g.tag, -1, 1)), 0) / 1.5 from tags g
            where m.product_tags ? g.tag)))
        ), 0) as value
      from pg_catalog.unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social'])
        with ordinality t (trait, position)
      left join public.personality_gift_mappings m
        on m.personality_type = t.trait and m.algorithm_version = '1.0'
    )
    select pg_catalog.array_agg(value / greatest(1, (select sum(abs(value)) / 2 from raw)) order by position) from raw
  );
end
$$;
comment on function private.trait_features(jsonb, jsonb) is
  'How something of these tags and alignments suits each trait: -1..1, at most 2 in absolute sum.';

create or replace function public.calculate_personality_product_match(
  p_personality_scores jsonb, p_product_tags jsonb, p_category_mappings jsonb)
returns numeric
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select round((case when a.alignment is null then m.match else 0.8 * m.match + 0.2 * a.alignment end)::numeric, 4)
  from (
    select 0.5 + 0.25 * sum(
      coalesce(private.number_of(p_personality_scores, t.trait, 0, 100) - 50, 0) / 50 * t.feature)
    from unnest(
      array['adventurous', 'intellectual', 'practical', 'creative', 'social'],
      private.trait_features(p_product_tags, p_category_mappings)) t (trait, feature)
  ) m (match)
  cross join (select private.number_of(p_category_mappings, 'alignment_score', 0, 1)) a (alignment)
$$;
comment on function public.calculate_personality_product_match(jsonb, jsonb, jsonb) is
  'How a product suits a personality, 0..1; 0.5 is neither. Scores: {"trait": 0..100}, 50 where one is missing. Tags: '
  'an array of names, or {"tag": -1..1}. Mappings: {"trait": -1..1} for each trait that the category suits or repels '
  'and, where given, {"alignment_score": 0..1}, the person''s liking of the category, which then makes a fifth of the '
  'result. Numbers beyond their bounds count as the bound; what is unknown or no number is not looked at.';

revoke all on function private.trait_numbers(jsonb, numeric, numeric) from public, anon, authenticated;
grant execute on function private.trait_numbers(jsonb, numeric, numeric) to service_role;
revoke all on function private.number_of(jsonb, text, numeric, numeric), private.category_alignments(uuid),
  private.trait_features(jsonb, jsonb), public.calculate_personality_product_match(jsonb, jsonb, jsonb) from public;
grant execute on function private.number_of(jsonb, text, numeric, numeric), private.category_alignments(uuid),
  private.trait_features(jsonb, jsonb), public.calculate_personality_product_match(jsonb, jsonb, jsonb)
  to anon, authenticated, service_role;
