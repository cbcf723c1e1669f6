-- What feeds are ranked from, in one narrow row per product: its number, facets and biases, and lists by rank.

alter table public.product_features
  add column number integer,
  add column facets bigint[] not null default '{}',
  add column group_key bigint,
  add column first_bias real,
  add column few_bias real,
  add column many_bias real,
  add column like_rate real,
  add column like_share real;
comment on column public.product_features.number is 'Of the product, by which trained weights name it.';
comment on column public.product_features.facets is
  'Keys (private.facet) of its category, its brand (0: none) and its tags, in this order.';
comment on column public.product_features.group_key is 'Equal for variants of one product.';
comment on column public.product_features.many_bias is
  'The score without any like, for people of many events; null for a product that training did not know.';
comment on column public.product_features.like_share is
  'How many of all people like it, 0..1; null for a product that training did not know.';
comment on column public.product_features.like_rate is 'The smoothed share of likes, 0..1.';

update public.product_features f set number = p.number, group_key = p.number,
  facets = array[
      hashtextextended('category:' || p.category_id, 0), coalesce(hashtextextended('brand:' || p.brand_id, 0), 0)]
    || array(select hashtextextended('tag:' || tag, 0) from unnest(p.tags) tag)
  from public.products p where p.id = f.product_id;
-- squawk-ignore require-concurrent-index-creation
create index if not exists product_features_number_idx on public.product_features (model_version, number);

-- Derived by the model, which is rebuilt; feeds rank the whole catalogue until then.
-- squawk-ignore ban-drop-table
drop table public.model_candidates;
create table public.model_lists (
  model_version integer not null constraint model_lists_model_version_fkey
    references public.recommendation_models (version) on delete cascade,
  list bigint not null,
  rank integer not null,
  number integer not null,
  constraint model_lists_pkey primary key (model_version, list, rank) include (number)
);
comment on table public.model_lists is
  'The best products of a model by list, by number: popular and new ones, those that suit a trait most or least, and those of each category, brand and tag (private.facet). Rank 0 is the best.';

create table public.model_kinds (
  model_version integer not null constraint model_kinds_model_version_fkey
    references public.recommendation_models (version) on delete cascade,
  kind integer not null,
  adventurous real not null,
  intellectual real not null,
  practical real not null,
  creative real not null,
  social real not null,
  numbers integer[] not null,
  constraint model_kinds_pkey primary key (model_version, kind)
);
comment on table public.model_kinds is
  'Products of a model that suit the traits alike: how, and the twenty most liked, by number. A personality is compared with kinds instead of products.';

-- Reasons are read from the weights themselves.
-- squawk-ignore ban-drop-table
drop table public.model_sources;
