-- What administrators decide of offers and of the rates of shops, and imports keep.

alter table public.product_offers
  add column edited text[] not null default '{}';
alter table public.product_offers
  add constraint product_offers_edited_known check (edited <@ array['link', 'shipping', 'inactive']) not valid;
comment on column public.product_offers.edited is
  'What an administrator set, so that imports leave it; inactive: they do not bring the offer back either.';

alter table public.retailers
  add column is_rate_edited boolean not null default false;
comment on column public.retailers.is_rate_edited is
  'Whether an administrator set commission_rate, so that mappings leave it.';
