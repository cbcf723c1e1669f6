-- One account per e-mail address, whatever its spelling; several tokens from mails at a time; password resets that wait
-- to be looked at. The server computes canonical_email (domain/emails.py): what an address is, SQL cannot say.

do $$
begin
  if pg_catalog.obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue' then
    alter table auth.users add column canonical_email text constraint users_canonical_email_key unique;
    comment on column auth.users.canonical_email is
      'The same for all spellings of the address; for comparing alone. Null in accounts of before, found by their e-mail.';

    -- An address in ASCII is its own canonical form. Of two accounts that turn out to have one address, the confirmed or
    -- else the older one gets it; the other one is still found by its e-mail as it stands. International domains have
    -- few spellings: the server tries them.
    if pg_catalog.getdatabaseencoding() = 'UTF8' then
      update auth.users u set canonical_email = f.canonical
      from (
        select distinct on (c.canonical) c.id, c.canonical
        from (
          select o.id, o.email_confirmed_at, o.created_at,
            replace(replace(lower(normalize(regexp_replace(split_part(o.email, '@', 1),
              U&'[\00AD\034F\061C\115F\1160\17B4\17B5\180B-\180F\200B-\200F\202A-\202E\2060-\206F\3164\FE00-\FE0F\FEFF\FFA0]',
              '', 'g'), nfkc)), 'ß', 'ss'), 'ς', 'σ') || '@' || split_part(o.email, '@', 2) as canonical
          from auth.users o
          where o.email ~ '[^\x01-\x7f]' and split_part(o.email, '@', 2) !~ '[^\x01-\x7f]|(^|\.)xn--'
        ) c
        where not exists (select from auth.users other where other.email = c.canonical and other.id <> c.id)
        order by c.canonical, c.email_confirmed_at is null, c.created_at, c.id
      ) f
      where u.id = f.id;
    end if;
  end if;
end
$$;

-- A stranger who asks for a token must not void the one that is on its way to the owner. The table holds the tokens of a
-- few days, so its index is built at once. The function that relied on the former key is replaced in the same run.
alter table private.one_time_tokens
  -- squawk-ignore ban-drop-constraint
  drop constraint one_time_tokens_pkey,
  -- squawk-ignore constraint-missing-not-valid, adding-serial-primary-key-field
  add constraint one_time_tokens_pkey primary key (user_id, kind, token_hash);
comment on table private.one_time_tokens is
  'Hashes of tokens that were sent by mail. The use of one deletes all of its person and kind.';

create table private.reset_requests (
  id uuid not null default private.uuid_v7() constraint reset_requests_pkey primary key,
  canonical_email text not null,
  spellings text[] not null,
  expires_at timestamptz not null
);
comment on table private.reset_requests is
  'Somebody asked to choose a new password. Whether there is an account is found out when mails are sent, so that the '
  'answer takes no longer where there is one. Rows are deleted then.';
alter table private.reset_requests enable row level security;
