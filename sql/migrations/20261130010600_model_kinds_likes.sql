-- A personality is compared with kinds of products together with how much their products are liked.

alter table public.model_kinds add column likes real[] not null default '{}';
comment on column public.model_kinds.likes is 'How much each of its products is liked, 0..1, in the order of `numbers`.';
-- Until the next model, kinds are compared by personality alone.
update public.model_kinds set likes = array_fill(0::real, array[cardinality(numbers)]);
comment on table public.model_lists is
  'The best products of a model by list, by number: popular and new ones, those that suit a trait most, and those of each category, brand and tag (private.facet). Rank 0 is the best.';
