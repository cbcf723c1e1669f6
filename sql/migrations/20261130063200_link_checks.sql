-- The check of links: services/link_checks.py.
comment on column public.product_offers.link_checked_at is
  'When the weekly check of links last took it up; null: never with this link.';
