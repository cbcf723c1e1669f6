-- What an import refused or dropped stays readable, also of imports that nobody watches; and a run can be taken back after a
-- migration has added columns.

create table private.import_rejects (
  run_id uuid not null constraint import_rejects_run_id_fkey references public.import_runs (id) on delete cascade,
  number integer not null,
  line bigint not null,
  external_id text not null,
  field text not null,
  value text not null,
  reason text not null,
  kind text not null constraint import_rejects_kind check (kind in ('rejected', 'warning')),
  constraint import_rejects_pkey primary key (run_id, number)
);
comment on table private.import_rejects is
  'Rows of feeds that imports refused, and values that they dropped; of each run the first ten thousand. db/feed_rows.py';
comment on column private.import_rejects.value is 'Cut to its first characters.';
alter table private.import_rejects enable row level security;

alter table public.import_runs add column table_columns jsonb;
comment on column public.import_runs.table_columns is
  'By table, which columns the run recorded, and which its fingerprints are of. Null: those of the present schema.';
