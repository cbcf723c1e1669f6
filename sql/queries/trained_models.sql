-- name: try_lock()
-- One training at a time, until the end of the transaction.
select pg_try_advisory_xact_lock(hashtext('aclue.train'))

-- name: signals()
-- As service_role: what training learns from.
select products, strengths, weights, days, standing from private.training_signals()

-- name: products()
-- What can be recommended, and what products have in common.
select number, category_id, brand_id, tags from public.products where is_active order by number

-- name: create(people, events, products, parameters, metrics, serving, calibration)
insert into public.trained_models (people, events, products, parameters, metrics, serving, calibration)
values (:people::int, :events::bigint, :products::int, :parameters::jsonb, :metrics::jsonb, :serving::jsonb,
  :calibration::jsonb)
returning version

-- name: add_products(version, numbers, first_biases, few_biases, many_biases, like_rates, like_shares)
insert into public.model_products (
  trained_version, number, first_bias, few_bias, many_bias, like_rate, like_share)
select :version::int, i.number, i.first_bias, i.few_bias, i.many_bias, i.like_rate, i.like_share
from unnest(:numbers::int[], :first_biases::real[], :few_biases::real[], :many_biases::real[], :like_rates::real[],
  :like_shares::real[])
  i (number, first_bias, few_bias, many_bias, like_rate, like_share)

-- name: add_weights(version, kind, sources, ranks, targets, weights)
insert into public.model_weights (trained_version, kind, source, rank, target, weight)
select :version::int, :kind::text::public.table_kind, i.source, i.rank, i.target, i.weight
from unnest(:sources::int[], :ranks::smallint[], :targets::int[], :weights::real[]) i (source, rank, target, weight)

-- name: calibration(version)
select calibration::text from public.trained_models where version = :version::int

-- name: list()
-- The trained models, newest first, and which of them the newest recommendation model serves.
select t.version, t.created_at, t.people, t.events, t.products, t.parameters, t.metrics,
  t.serving, t.withdrawn_at,
  t.version = (select trained_version from public.recommendation_models order by version desc limit 1) as is_served
from public.trained_models t order by t.version desc

-- name: withdraw()
-- The newest that is not withdrawn, if there is another one to go back to.
update public.trained_models set withdrawn_at = now()
where version = (select max(version) from public.trained_models where withdrawn_at is null)
  and 1 < (select count(*) from public.trained_models where withdrawn_at is null)
returning version

-- name: needs_training(seconds)
-- Whether somebody swiped since the newest trained model, which is older than this; or people or their consents, which
-- a training has to forget, have not been looked at for a day.
select private.swiped_since(coalesce(max(created_at), '-infinity')) or max(created_at) < now() - interval '1 day'
from public.trained_models
having coalesce(max(created_at) < now() - make_interval(secs => :seconds::float8), true)
