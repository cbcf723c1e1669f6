-- Conditions on a category, alias r.

-- name: is_active()
r.is_active

-- name: subtree()
-- Over `parent.key`: the category and all below it. Most have none, which a single index lookup shows.
select parent.key
union all
select below.id from private.category_subtree(parent.key) below (id)
where below.id <> parent.key and exists (select from public.categories c where c.parent_id = parent.key)
