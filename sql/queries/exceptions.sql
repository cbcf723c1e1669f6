-- Conditions on exceptions for lists (alias r).

-- name: is_open(is_open)
(r.closed_at is null) = :is_open::boolean

-- name: of_kind(kind)
r.kind = :kind::text

-- name: of_network(network)
(exists (select from public.conversions c where c.id = r.conversion_id and c.affiliate_network = :network::text)
  or exists (select from public.payments p where p.id = r.payment_id and p.affiliate_network = :network::text))
