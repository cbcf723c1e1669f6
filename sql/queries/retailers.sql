-- Conditions on a retailer, alias r.

-- name: is_active()
r.is_active

-- name: find(id, slug)
-- By one of the two.
select id, slug, name, is_active from public.retailers r where r.id = :id::uuid or r.slug = :slug::text

-- name: named(name)
-- Without regard to case and accents.
select id, slug from public.retailers r where private.search_fold(r.name) = private.search_fold(:name::text) limit 1

-- name: network_exists(network)
select exists (select from public.affiliate_networks where code = :network::text)

-- name: create(slug, name, domain, network, commission_rate, click_window_hours)
-- As service_role. Null if the slug is taken.
insert into public.retailers (
  slug, name, domain, affiliate_network, commission_rate, is_rate_edited, click_window_hours)
values (:slug::text, :name::text, :domain::text, :network::text, :commission_rate::text::numeric,
  :commission_rate::text is not null, :click_window_hours::integer)
on conflict on constraint retailers_slug_key do nothing returning id

-- name: update(id, name, domain, set_domain, network, set_network, commission_rate, set_commission_rate, click_window_hours, set_click_window_hours, is_active)
-- As service_role. Null leaves a column unchanged; the set_ flags allow clearing one. A mapping may set a rate again that was
-- cleared.
update public.retailers r set name = coalesce(:name::text, r.name),
  domain = case when :set_domain::boolean then :domain::text else r.domain end,
  affiliate_network = case when :set_network::boolean then :network::text else r.affiliate_network end,
  commission_rate = case when :set_commission_rate::boolean
    then :commission_rate::text::numeric else r.commission_rate end,
  is_rate_edited = case when :set_commission_rate::boolean
    then :commission_rate::text is not null else r.is_rate_edited end,
  click_window_hours = case when :set_click_window_hours::boolean
    then :click_window_hours::integer else r.click_window_hours end,
  is_active = coalesce(:is_active::boolean, r.is_active)
where r.id = :id::uuid returning r.id
