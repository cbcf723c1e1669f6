-- Faults of the data that the service cannot do without, as anon reads them. See verify_server.sql.

-- name: wrong_currencies()
select w.code || coalesce(' has the exponent ' || c.exponent, ' is missing') as fault
from (values ('GBP', 2), ('EUR', 2), ('USD', 2), ('JPY', 0), ('KWD', 3)) w (code, exponent)
left join public.currencies c on c.code = w.code
where c.exponent is distinct from w.exponent;

-- name: wrong_networks()
select r.slug || ' is of a network without a name' as fault
from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
where r.affiliate_network is not null and coalesce(n.name, '') = ''
union all
select 'there is none' where not exists (select from public.affiliate_networks);

-- name: no_current_quiz()
select 'no version is current' as fault where not exists (select from public.quiz_versions where is_current);

-- name: thin_quiz()
select format('version %s has %s questions on being %s, %s are needed', v.version, count(q.code), wanted.trait,
  greatest(1, coalesce(max(t.min_answers), 1))) as fault
from public.quiz_versions v
cross join unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) wanted (trait)
left join public.quiz_traits t on (t.instrument, t.version, t.trait) = (v.instrument, v.version, wanted.trait)
left join public.quiz_questions q on (q.instrument, q.version, q.trait) = (v.instrument, v.version, wanted.trait)
where v.is_current
group by v.version, wanted.trait having count(q.code) < greatest(1, coalesce(max(t.min_answers), 1))
union all
select format('version %s asks for %s answers to %s questions', v.version, v.min_answers, count(q.code))
from public.quiz_versions v
left join public.quiz_questions q on (q.instrument, q.version) = (v.instrument, v.version)
where v.is_current
group by v.version, v.min_answers having count(q.code) < v.min_answers;

-- name: unworded_quiz()
select format('%s of version %s has no English text', wanted.code, v.version) as fault
from public.quiz_versions v
cross join lateral (
  select code from public.quiz_questions q where (q.instrument, q.version) = (v.instrument, v.version)
  union all
  select 'answer-' || value from generate_series(v.lowest::int, v.highest::int) value
) wanted
left join public.quiz_texts t
  on (t.instrument, t.version, t.locale, t.code) = (v.instrument, v.version, 'en', wanted.code)
where v.is_current and t.code is null;

-- name: unnormed_quiz()
select format('version %s has no norms of being %s', v.version, t.trait) as fault
from public.quiz_versions v
join public.quiz_traits t on (t.instrument, t.version) = (v.instrument, v.version)
where v.is_current and not exists (
  select from jsonb_array_elements(private.norms_of(v.instrument, v.version)) norm
  where norm ->> 'trait' = t.trait and norm ->> 'form' = 'full');

-- name: missing_mappings()
select trait || ' has no mapping to gifts' as fault
from unnest(array['adventurous', 'intellectual', 'practical', 'creative', 'social']) trait
where not exists (select from public.personality_gift_mappings m where m.personality_type = trait);

-- name: missing_rules()
select 'nothing is known of any ' || kind as fault from unnest(array['occasion', 'relationship', 'age']) kind
where not exists (select from public.gift_context_rules r where r.kind = kind.kind);

-- name: missing_categories()
select 'there is no category ' || slug as fault from unnest(array['uncategorised']) slug
where not exists (select from public.categories c where c.slug = slug.slug)
union all
select 'there is no category for gifts' where not exists (select from public.categories where slug <> 'uncategorised');

-- name: no_model()
select 'there is no recommendation model' as fault where not exists (select from public.recommendation_models);

-- name: featureless_model()
select format('model %s knows no product', m.version) as fault
from public.recommendation_models m
where m.version = (select max(version) from public.recommendation_models)
  and exists (select from public.products where is_active)
  and not exists (select from public.product_features f where f.model_version = m.version);
