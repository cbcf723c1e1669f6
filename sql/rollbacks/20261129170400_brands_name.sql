-- The index brands_name_idx comes back.
create index brands_name_idx on public.brands (name, id);
