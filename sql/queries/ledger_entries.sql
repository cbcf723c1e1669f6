-- Conditions on postings for lists (alias r).

-- name: on_account(account)
r.account = :account::text

-- name: in_currency(currency)
r.currency = :currency::text::char(3)

-- name: of_conversion(conversion)
r.conversion_id = :conversion::uuid

-- name: of_payment(payment)
r.payment_id = :payment::uuid

-- name: since(at)
r.event_at >= :at::timestamptz

-- name: until(at)
r.event_at < :at::timestamptz
