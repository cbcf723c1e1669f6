-- Kinds are compared one by one.
drop table public.model_cells;
