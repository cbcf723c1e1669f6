-- Conditions on a brand, alias r.

-- name: is_active()
r.is_active

-- name: has_in_name(part)
strpos(private.search_fold(r.name), private.search_fold(:part::text)) > 0

-- name: find(id, slug)
-- By one of the two.
select id, slug, name, is_active from public.brands r where r.id = :id::uuid or r.slug = :slug::text

-- name: named(name)
select id, slug from public.brands r
where private.search_fold(r.name) collate "C" = private.search_fold(:name::text) collate "C" limit 1

-- name: create(slug, name)
-- As service_role. Null if the slug is taken.
insert into public.brands (slug, name) values (:slug::text, :name::text)
on conflict on constraint brands_slug_key do nothing returning id

-- name: update(id, name, is_active)
-- As service_role. Null leaves a column unchanged.
update public.brands r set name = coalesce(:name::text, r.name), is_active = coalesce(:is_active::boolean, r.is_active)
where r.id = :id::uuid returning r.id
