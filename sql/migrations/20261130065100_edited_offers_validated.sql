-- The rows that were there keep it, too: they have the default.
alter table public.product_offers validate constraint product_offers_edited_known;
