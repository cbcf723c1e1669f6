-- What training learns from everybody's swipes: weights between products, by small numbers of products.

-- Rewrites the table once; a trigger that numbers rows later would let unnumbered ones be served meanwhile.
-- squawk-ignore adding-field-with-default
alter table public.products add column number integer generated always as identity;
comment on column public.products.number is 'Names the product in trained models.';

create type public.table_kind as enum ('first', 'few', 'many');
comment on type public.table_kind is 'For people of up to 3 events, of up to 10, and of more.';

create table public.trained_models (
  version integer generated always as identity constraint trained_models_pkey primary key,
  people integer not null,
  events bigint not null,
  products integer not null,
  parameters jsonb not null,
  metrics jsonb not null,
  created_at timestamptz not null default now(),
  withdrawn_at timestamptz
);
comment on table public.trained_models is
  'What was learned and from how much: chosen strengths per table, and NDCG@10 on held-out people (empty if they were too few).';
comment on column public.trained_models.withdrawn_at is 'Since when a rollback keeps it from being served.';

-- The table has three rows.
alter table public.recommendation_models add column trained_version integer
  -- squawk-ignore adding-foreign-key-constraint
  constraint recommendation_models_trained_version_fkey references public.trained_models (version) on delete set null;
-- squawk-ignore require-concurrent-index-creation
create index if not exists recommendation_models_trained_version_idx on public.recommendation_models (trained_version);
comment on column public.recommendation_models.trained_version is 'The trained model that it serves; null before the first.';

create table public.model_products (
  trained_version integer not null constraint model_products_trained_version_fkey
    references public.trained_models (version) on delete cascade,
  number integer not null,
  first_bias real not null,
  few_bias real not null,
  many_bias real not null,
  like_rate real not null,
  constraint model_products_pkey primary key (trained_version, number)
);
comment on table public.model_products is
  'Per product, by its number: its score without any like, for each kind of table, and its smoothed share of likes, 0..1.';

create table public.model_weights (
  trained_version integer not null constraint model_weights_trained_version_fkey
    references public.trained_models (version) on delete cascade,
  kind public.table_kind not null,
  source integer not null,
  rank smallint not null,
  target integer not null,
  weight real not null,
  constraint model_weights_pkey primary key (trained_version, kind, source, rank) include (target, weight),
  constraint model_weights_weight_positive check (weight > 0)
);
comment on table public.model_weights is
  'What a like of the product `source` adds to the score of `target`, both by number; rank 0 is the largest of a source. Each rests on five people or more.';

create table public.model_sources (
  trained_version integer not null constraint model_sources_trained_version_fkey
    references public.trained_models (version) on delete cascade,
  kind public.table_kind not null,
  target integer not null,
  sources integer[] not null,
  weights real[] not null,
  constraint model_sources_pkey primary key (trained_version, kind, target),
  constraint model_sources_lengths check (cardinality(sources) = cardinality(weights))
);
comment on table public.model_sources is 'The same weights by target, for reasons: the largest 200 of each, in descending order.';
