-- name: all()
select r.id, r.slug, r.name, r.affiliate_network from public.retailers r where r.is_active order by r.name, r.id
