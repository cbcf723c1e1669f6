-- Tokens that are sent by mail: what they are issued with and how they are used up. Only service_role may call these.

-- The token and its mail stand or fall together.
create or replace function private.issue_one_time_token(
  p_kind text, p_email text, p_token_hash bytea, p_payload bytea, p_lifetime interval) returns boolean
language plpgsql security definer
set search_path = ''
as $$
declare
  account uuid := (select u.id from auth.users u where u.email = p_email);
begin
  if account is null then
    return false;
  end if;
  insert into private.one_time_tokens (user_id, kind, token_hash, email, expires_at)
  values (account, p_kind, p_token_hash, p_email, now() + p_lifetime)
  on conflict (user_id, kind) do update set
    token_hash = excluded.token_hash, email = excluded.email, created_at = now(), expires_at = excluded.expires_at;
  insert into private.outbox (user_id, recipient, template, payload, expires_at)
  values (account, p_email, p_kind, p_payload, now() + p_lifetime);
  return true;
end
$$;
comment on function private.issue_one_time_token(text, text, bytea, bytea, interval) is
  'False, and nothing done, where there is no account with this e-mail.';

create or replace function private.use_one_time_token(p_kind text, p_token_hash bytea) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  account uuid;
begin
  delete from private.one_time_tokens t using auth.users u
  where t.token_hash = p_token_hash and t.kind = p_kind and t.expires_at > now()
    and u.id = t.user_id and u.email = t.email
  returning t.user_id into account;
  -- Whoever has the token reads the mails of this address.
  update auth.users set email_confirmed_at = coalesce(email_confirmed_at, now()), updated_at = now() where id = account;
  return account;
end
$$;
comment on function private.use_one_time_token(text, bytea) is
  'Whose token it is, once; their e-mail is confirmed by it. Null for a token that is not valid.';

revoke all on function private.issue_one_time_token(text, text, bytea, bytea, interval),
  private.use_one_time_token(text, bytea) from public, anon, authenticated;
grant execute on function private.issue_one_time_token(text, text, bytea, bytea, interval),
  private.use_one_time_token(text, bytea) to service_role;
