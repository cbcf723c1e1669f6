create index brands_name_idx on public.brands (name, id);
