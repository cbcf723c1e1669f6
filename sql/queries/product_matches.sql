-- How products suit the caller's personality.

-- name: of_products(user_id, product_ids)
-- No rows for somebody without an assessment, or who is not to be profiled. By the newest model, or for a product that it
-- does not know as the next one will. terms: in the order of the traits.
with person as materialized (
  select private.leanings(
    coalesce(h.combined_scores, h.personality_scores), coalesce(h.combined_confidence, h.confidence_level)) as leanings
  from public.personality_assessment_history h
  where h.user_id = :user_id::uuid and private.has_consent(:user_id::uuid, 'personalisation')
  order by h.assessment_timestamp desc, h.id desc limit 1
)
select r.id as product_id, private.match_of(a.leanings, x.features) as match,
  array(select contribution from private.match_terms(a.leanings, x.features)) as terms
from person a
cross join public.products r
cross join lateral (
  select coalesce(
    (select array[f.adventurous, f.intellectual, f.practical, f.creative, f.social]::double precision[]
     from public.product_features f
     where f.model_version = (select max(version) from public.recommendation_models) and f.product_id = r.id limit 1),
    private.trait_features(to_jsonb(r.tags), private.category_alignments(r.category_id, r.price_minor, r.currency)))
    as features
  offset 0) x  -- computed once per product
where r.id = any (:product_ids::uuid[])
