-- Issues and redeems tokens that are sent by mail. Only service_role may call these functions.

-- A token and its mail are stored in one statement.
create or replace function private.issue_one_time_token(
  p_kind text, p_email text, p_token_hash bytea, p_payload bytea, p_lifetime interval) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  account uuid := (select u.id from auth.users u where u.email = p_email);
begin
  if account is null then
    return false;
  end if;
  insert into private.one_time_tokens (user_id, kind, token_hash, email, expires_at)
  values (account, p_kind, p_token_hash, p_email, now() + p_lifetime);
  if p_payload is not null then
    insert into private.outbox (user_id, recipient, template, payload, expires_at)
    values (account, p_email, p_kind, p_payload, now() + p_lifetime);
  end if;
  return true;
end
$$;
comment on function private.issue_one_time_token(text, text, bytea, bytea, interval) is
  'False, without any effect, if there is no account with this e-mail. Without a payload no mail is sent. Earlier '
  'tokens stay valid.';

create or replace function private.is_one_time_token(p_kind text, p_token_hash bytea) returns boolean
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select exists (
    select from private.one_time_tokens t join auth.users u on u.id = t.user_id and u.email = t.email
    where t.token_hash = p_token_hash and t.kind = p_kind and t.expires_at > now())
$$;
comment on function private.is_one_time_token(text, bytea) is 'Whether private.use_one_time_token() would accept it.';

drop function if exists private.use_one_time_token(text, bytea);  -- of an earlier release
create or replace function private.use_one_time_token(p_kind text, p_token_hash bytea, p_holder uuid)
returns table (account uuid, is_afresh boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  is_confirmed boolean;
begin
  is_afresh := false;
  -- The account is locked first, so that only one of its tokens is accepted if several are used at once.
  select u.id, u.email_confirmed_at is not null into account, is_confirmed
  from private.one_time_tokens t join auth.users u on u.id = t.user_id and u.email = t.email
  where t.token_hash = p_token_hash and t.kind = p_kind and t.expires_at > now()
  for update of u;
  delete from private.one_time_tokens where token_hash = p_token_hash and user_id = account;
  if not found then
    return;
  end if;
  delete from private.one_time_tokens where user_id = account and kind = p_kind;
  if not is_confirmed then
    -- The token proves who reads the mails of this address, but not that they created the account.
    if account = p_holder then
      update auth.users set email_confirmed_at = now(), updated_at = now() where id = account;
    else
      account := private.start_account_afresh(account);
      is_afresh := true;
    end if;
  end if;
  return next;
end
$$;
comment on function private.use_one_time_token(text, bytea, uuid) is
  'Redeems a token, which confirms the e-mail; returns its account, or no row for a token that is not valid. An account '
  'whose e-mail was not confirmed before starts afresh, unless p_holder, the person of a live session, owns it.';

create or replace function private.request_reset(p_canonical text, p_spellings text[], p_lifetime interval) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.reset_requests (canonical_email, spellings, expires_at)
  values (p_canonical, p_spellings, now() + p_lifetime)
$$;

create or replace function private.take_reset_request() returns table (canonical_email text, spellings text[])
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from private.reset_requests r
  where r.id = (
    select w.id from private.reset_requests w where w.expires_at > now() order by w.id limit 1 for update skip locked)
  returning r.canonical_email, r.spellings
$$;
comment on function private.take_reset_request() is
  'Deletes and returns the oldest request, which must be answered in the same transaction.';

revoke all on function private.issue_one_time_token(text, text, bytea, bytea, interval),
  private.use_one_time_token(text, bytea, uuid), private.request_reset(text, text[], interval),
  private.take_reset_request(), private.is_one_time_token(text, bytea) from public, anon, authenticated;
grant execute on function private.issue_one_time_token(text, text, bytea, bytea, interval),
  private.use_one_time_token(text, bytea, uuid), private.request_reset(text, text[], interval),
  private.take_reset_request(), private.is_one_time_token(text, bytea) to service_role;
