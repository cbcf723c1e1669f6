-- How much was stored today by a person, an anonymous session or a network. Nobody is named: a subject is a hash.

create table private.storage_use (
  day date not null,
  subject bytea not null,
  bytes bigint not null,
  constraint storage_use_pkey primary key (day, subject)
);
comment on table private.storage_use is 'Bytes stored per UTC day and subject, against STORAGE_LIMIT_*; kept for two days.';
alter table private.storage_use enable row level security;
