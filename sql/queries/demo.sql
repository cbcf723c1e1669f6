-- The demo catalogue, as the owner.

-- name: is_unwanted(mark)
-- Whether it was loaded before, or another catalogue exists.
select exists (select from private.applied_files where name = :mark)
  or exists (select from public.products)

-- name: mark(mark)
insert into private.applied_files (name, checksum) values (:mark, '') on conflict do nothing

-- name: add_category(slug, name, parent_slug)
insert into public.categories (slug, name, parent_id)
values (:slug, :name, (select id from public.categories where slug = :parent_slug::text))
on conflict (slug) do nothing

-- name: add_brand(slug, name)
insert into public.brands (slug, name) values (:slug, :name) on conflict (slug) do nothing

-- name: add_retailer(slug, name, domain, network, tracking_hosts)
-- The commission is a typical one: 5 %.
insert into public.retailers (slug, name, domain, affiliate_network, tracking_hosts, commission_rate)
values (:slug, :name, :domain, :network, :tracking_hosts::text[], 0.05)
on conflict (slug) do nothing

-- name: ensure_account(email, canonical, spellings)
with made as (select private.create_account(:email::text, :canonical::text, :spellings::text[], null, 'Demo') as id)
select coalesce(
  (select id from made), (select id from private.account_of_email(:canonical::text, :spellings::text[])))

-- name: account(canonical, spellings)
select id, email_verified_at from public.profiles
where id = private.person_of_email(:canonical::text, :spellings::text[])

-- name: ensure_profile(id, is_anonymous)
insert into public.profiles (id, is_anonymous) values (:id, :is_anonymous) on conflict do nothing returning id
