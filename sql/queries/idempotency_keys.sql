-- name: find(user_id, operation, key)
select request_hash, result_id from public.idempotency_keys
where user_id = :user_id::uuid and operation = :operation::text and key = :key::text

-- name: lock(user_id, operation, key)
-- Serialises requests with the same key.
select pg_advisory_xact_lock(hashtextextended(
  'idempotency:' || :user_id::uuid::text || ':' || :operation::text || ':' || :key::text, 0))

-- name: purge(maximum)
-- As service_role: deletes at most so many keys that are older than a day; returns how many.
with gone as (
  delete from public.idempotency_keys where (user_id, operation, key) in (
    select user_id, operation, key from public.idempotency_keys
    where created_at < now() - interval '1 day' limit :maximum::int)
  returning 1)
select count(*) from gone

-- name: store(operation, key, request_hash, result_id)
insert into public.idempotency_keys (operation, key, request_hash, result_id)
values (:operation, :key, :request_hash, :result_id)
