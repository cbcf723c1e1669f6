-- Google's product taxonomy: what the numbers in feeds mean. From Google's own file, which the operator loads.
create table private.google_taxonomy (
  id integer not null,
  path text[] not null,
  constraint google_taxonomy_pkey primary key (id),
  constraint google_taxonomy_path_levels check (cardinality(path) between 1 and 20)
);
comment on table private.google_taxonomy is 'Numbers of Google''s product taxonomy and the names from root to leaf.';
alter table private.google_taxonomy enable row level security;
revoke all on table private.google_taxonomy from public;
