-- The canonical form of an address no longer makes ß and ss one, which are two mailboxes (domain/emails.py). An account
-- whose former form was that of another address gets its own. Where two accounts have one address the one that is found
-- by it stays so.
do $$
begin
  if pg_catalog.obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue'
    and pg_catalog.getdatabaseencoding() = 'UTF8'
  then
    update auth.users u set canonical_email = f.canonical
    from (
      select distinct on (c.canonical) c.id, c.canonical
      from (
        select o.id, o.canonical_email, o.email_confirmed_at, o.created_at,
          replace(lower(normalize(regexp_replace(normalize(split_part(o.email, '@', 1), nfkc),
            U&'[\00AD\034F\061C\115F\1160\17B4\17B5\180B-\180F\200B-\200F\202A-\202E\2060-\206F\3164\FE00-\FE0F\FEFF\FFA0]',
            '', 'g'), nfkc)), 'ς', 'σ')
            || '@' || coalesce(split_part(o.canonical_email, '@', 2), split_part(o.email, '@', 2)) as canonical
        from auth.users o
        where split_part(o.email, '@', 1) ~ '[^\x01-\x7f]'
          and (o.canonical_email is not null or split_part(o.email, '@', 2) !~ '[^\x01-\x7f]|(^|\.)xn--')
      ) c
      where not exists (
        select from auth.users other
        where other.id <> c.id and (other.email = c.canonical or other.canonical_email = c.canonical))
      order by c.canonical, c.canonical_email is null, c.email_confirmed_at is null, c.created_at, c.id
    ) f
    where u.id = f.id and u.canonical_email is distinct from f.canonical;
  end if;
end
$$;
