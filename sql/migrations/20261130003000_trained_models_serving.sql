-- How a trained model is served, and the probability of a like that it gives.

alter table public.trained_models
  add column serving jsonb not null default '{}',
  add column calibration jsonb not null default '{}';
-- The table has three rows.
alter table public.trained_models
  -- squawk-ignore constraint-missing-not-valid
  add constraint trained_models_serving_object check (jsonb_typeof(serving) = 'object'),
  -- squawk-ignore constraint-missing-not-valid
  add constraint trained_models_calibration_object check (jsonb_typeof(calibration) = 'object');
alter table public.model_products add column like_share real not null default 0;
comment on column public.model_products.like_share is
  'How many of all people like it, 0..1: the score for somebody without a like.';
comment on column public.trained_models.serving is
  'blend: per kind, the share of what was learned; super_like: how many likes one counts; half_life: of signals in days, or null; largest_bias: per kind; largest_share: of all like_share. Empty: of a model before these.';
comment on column public.trained_models.calibration is
  'What domain/confidence.py reads: mean_rate, features, and per kind their weights, means and deviations. Empty: of a model before these.';
