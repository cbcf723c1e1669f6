-- name: all()
select r.id, r.parent_id, r.is_active, r.slug, r.name from public.categories r where r.is_active order by r.name, r.id
