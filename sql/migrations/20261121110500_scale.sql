-- Candidates of a model: what keeps the work of a feed the same when the catalogue grows.

alter table public.recommendation_models add column product_count integer not null default 0;
comment on column public.recommendation_models.product_count is 'How many products it knows; many are ranked from candidates.';

create table public.model_candidates (
  model_version integer not null constraint model_candidates_model_version_fkey
    references public.recommendation_models (version) on delete cascade,
  list text not null,
  product_id uuid not null constraint model_candidates_product_id_fkey
    references public.products (id) on delete cascade,
  constraint model_candidates_pkey primary key (model_version, list, product_id)
);
comment on table public.model_candidates is
  'Of a model with many products: the best of each list, such as "popular", "+creative", "-social", "tag:craft", "category:<id>".';
create index model_candidates_product_id_idx on public.model_candidates (product_id);
