-- Postbacks, as service_role: received, then read into the ledger. docs/money.md#postbacks

-- name: sender(network, secret_hash)
select id, sealed_key, addresses::text[], mapping::text as mapping from public.postback_senders
where secret_hash = :secret_hash::bytea and affiliate_network = :network::text and revoked_at is null

-- name: receive(sender_id, content_hash, content_type, query_string, body, conversions, quota)
-- new; repeat: it is there already; full: the sender's bytes of the day are used up. What the ledger will store of it for
-- ever counts at once, too.
with counted as (
  update public.postback_senders s set
    received_on = (now() at time zone 'UTC')::date,
    received_bytes = case when s.received_on = (now() at time zone 'UTC')::date then s.received_bytes else 0 end + size.bytes
  from (
    select 1000 + octet_length(:query_string::bytea) + octet_length(:body::bytea) + 2000 * :conversions::int as bytes
  ) size
  where s.id = :sender_id::uuid
    and not exists (
      select from public.postbacks p where p.sender_id = s.id and p.content_hash = :content_hash::bytea)
    and (s.received_on is distinct from (now() at time zone 'UTC')::date or s.received_bytes + size.bytes <= :quota::bigint)
  returning s.id
),
stored as (
  insert into public.postbacks (sender_id, content_hash, content_type, query, body)
  select c.id, :content_hash::bytea, :content_type::text, :query_string::bytea, :body::bytea from counted c
  on conflict (sender_id, content_hash) do nothing
  returning id
)
select case
  when exists (select from stored) then 'new'
  when exists (select from counted) or exists (
    select from public.postbacks p where p.sender_id = :sender_id::uuid and p.content_hash = :content_hash::bytea)
    then 'repeat'
  else 'full' end

-- name: due(maximum)
-- Locked until the end of the transaction; those of another worker are passed over.
select p.id, p.content_type, p.query, p.body, p.attempts, s.affiliate_network, s.name, s.mapping::text as mapping
from public.postbacks p join public.postback_senders s on s.id = p.sender_id
where p.status = 'waiting' and p.next_attempt_at <= now()
order by p.next_attempt_at
limit :maximum::int
for update of p skip locked

-- name: due_one(id)
select p.id, p.content_type, p.query, p.body, p.attempts, s.affiliate_network, s.name, s.mapping::text as mapping
from public.postbacks p join public.postback_senders s on s.id = p.sender_id
where p.id = :id::uuid and p.status = 'waiting'
for update of p skip locked

-- name: delayed(message, minutes)
-- How many have waited for so long, and since when the oldest, unless the system log has said so within the hour.
select count(*)::int as messages, to_char(min(received_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI') as since
from public.postbacks
where status = 'waiting' and received_at < now() - make_interval(mins => :minutes::int)
having count(*) > 0 and not exists (
  select from public.system_logs l
  where l.component = 'ledger' and l.message = :message::text and l.created_at > now() - interval '1 hour')

-- name: finish(ids, reports, errors)
-- An error keeps the message as it came, to be tried again by hand.
update public.postbacks p set
  status = case when f.error is null then 'done' else 'failed' end, error = f.error, reports = f.reports,
  attempts = p.attempts + 1, next_attempt_at = null,
  query = case when f.error is not null then p.query end, body = case when f.error is not null then p.body end
from unnest(:ids::uuid[], :reports::int[], :errors::text[]) f (id, reports, error)
where p.id = f.id

-- name: postpone(id, error, retry_after_seconds)
-- Null seconds: it has failed for good.
update public.postbacks set
  attempts = attempts + 1, error = :error::text,
  status = case when :retry_after_seconds::double precision is null then 'failed' else 'waiting' end,
  next_attempt_at = now() + make_interval(secs => :retry_after_seconds::double precision)
where id = :id::uuid and status = 'waiting'

-- name: add_sender(id, network, name, secret_hash, sealed_key, addresses, mapping)
insert into public.postback_senders (id, affiliate_network, name, secret_hash, sealed_key, addresses, mapping)
values (:id::uuid, :network::text, :name::text, :secret_hash::bytea, :sealed_key::bytea, :addresses::text[]::cidr[],
  :mapping::jsonb)

-- name: senders()
select s.id, s.affiliate_network, s.name, s.sealed_key is not null as is_signed, s.addresses::text[] as addresses,
  s.mapping is not null as is_mapped, s.created_at, s.revoked_at,
  case when s.received_on = (now() at time zone 'UTC')::date then s.received_bytes else 0 end as received_bytes
from public.postback_senders s order by s.affiliate_network, s.created_at, s.id

-- name: revoke_sender(id)
update public.postback_senders set revoked_at = now() where id = :id::uuid and revoked_at is null returning name

-- name: map_sender(id, mapping)
update public.postback_senders set mapping = :mapping::jsonb where id = :id::uuid returning name

-- name: received(only_failed, maximum)
-- The newest.
select p.id, p.received_at, s.affiliate_network, s.name, p.status, p.attempts, p.reports, p.error
from public.postbacks p join public.postback_senders s on s.id = p.sender_id
where not :only_failed::boolean or p.status = 'failed'
order by p.received_at desc
limit :maximum::int

-- name: retry(id)
-- Those that failed, or this one (null: all).
update public.postbacks set status = 'waiting', attempts = 0, error = null, next_attempt_at = now()
where status = 'failed' and (:id::uuid is null or id = :id::uuid)
returning id

-- name: purge(keep_seconds, maximum)
with gone as (
  delete from public.postbacks where id = any (array(
    select p.id from public.postbacks p
    where p.received_at < now() - make_interval(secs => :keep_seconds::double precision)
    order by p.received_at limit :maximum::int))
  returning 1)
select count(*) from gone
