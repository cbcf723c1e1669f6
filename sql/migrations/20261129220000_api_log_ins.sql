-- The log-ins of the API, which counts itself what it stores for whom: everybody else's writes are counted by triggers
-- (sql/functions/storage_use.sql). `aclue migrate` enters the one of DATABASE_URL.
create table private.api_log_ins (
  name name not null,
  constraint api_log_ins_pkey primary key (name)
);
comment on table private.api_log_ins is 'Log-ins of the API, whose writes it limits itself: STORAGE_LIMIT_*.';
alter table private.api_log_ins enable row level security;
