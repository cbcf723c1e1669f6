-- A personality is compared with cells of kinds first: a catalogue may have tens of thousands of kinds.

create table public.model_cells (
  model_version integer not null constraint model_cells_model_version_fkey
    references public.recommendation_models (version) on delete cascade,
  cell integer not null,
  first_kind integer not null,
  last_kind integer not null,
  lowest real[] not null,
  highest real[] not null,
  liked real not null,
  constraint model_cells_pkey primary key (model_version, cell),
  constraint model_cells_traits_five check (cardinality(lowest) = 5 and cardinality(highest) = 5)
);
comment on table public.model_cells is
  'Kinds of products that suit the traits similarly, which bounds how well any of them suits a personality.';
comment on column public.model_cells.first_kind is 'The kinds from this one to last_kind are of the cell.';
comment on column public.model_cells.lowest is
  'Of its kinds, per trait: adventurous, intellectual, practical, creative, social.';
comment on column public.model_cells.highest is 'As lowest.';
comment on column public.model_cells.liked is 'How much the most liked of its products is liked, 0..1.';

-- All kinds of a model that is served already are one cell, until the next model.
insert into public.model_cells (model_version, cell, first_kind, last_kind, lowest, highest, liked)
  select model_version, 0, min(kind), max(kind), array_fill(-1::real, array[5]), array_fill(1::real, array[5]), 1
  from public.model_kinds group by model_version;
