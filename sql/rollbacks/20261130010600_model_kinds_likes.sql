-- Kinds are compared by personality alone.
alter table public.model_kinds drop column likes;
