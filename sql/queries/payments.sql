-- Conditions on payments for lists (alias r).

-- name: of_networks(networks)
r.affiliate_network = any (:networks::text[])

-- name: with_reference(reference)
r.reference = :reference::text

-- name: since(day)
r.paid_on >= :day::date

-- name: until(day)
r.paid_on < :day::date

-- name: is_settled(is_settled)
exists (
  select from public.settlements s
  where s.payment_id = r.id and (s.meets or s.is_accepted)) = :is_settled::boolean
