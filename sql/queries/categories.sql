-- Conditions on a category, alias r.

-- name: is_active()
r.is_active

-- name: subtree()
-- Over `parent.key`: the category and all below it. Most have none, which a single index lookup shows.
select parent.key
union all
select below.id from private.category_subtree(parent.key) below (id)
where below.id <> parent.key and exists (select from public.categories c where c.parent_id = parent.key)

-- name: find(id, slug)
-- By one of the two.
select id, slug, name, parent_id, is_active from public.categories r where r.id = :id::uuid or r.slug = :slug::text

-- name: named(parent_id, name)
-- Below the same parent, without regard to case and accents.
select id, slug from public.categories r
where r.parent_id is not distinct from :parent_id::uuid
  and private.search_fold(r.name) = private.search_fold(:name::text) limit 1

-- name: is_below(id, ancestor)
-- Whether a category is another one or below it.
select :id::uuid in (select private.category_subtree(:ancestor::uuid))

-- name: create(slug, name, parent_id)
-- As service_role. Null if the slug is taken.
insert into public.categories (slug, name, parent_id) values (:slug::text, :name::text, :parent_id::uuid)
on conflict on constraint categories_slug_key do nothing returning id

-- name: update(id, name, set_parent, parent_id, is_active)
-- As service_role. Null leaves a column unchanged; with set_parent the parent, too, becomes what it says.
update public.categories r set name = coalesce(:name::text, r.name),
  parent_id = case when :set_parent::boolean then :parent_id::uuid else r.parent_id end,
  is_active = coalesce(:is_active::boolean, r.is_active)
where r.id = :id::uuid returning r.id
