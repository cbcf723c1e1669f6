-- A sale belongs to the product that its offer is of now. A row of an earlier release that names no offer names a listing by its
-- product. (That retailers.click_window_hours may be null since 20261130072000 concerns no code that was ever released: both
-- came within one version, and the code of the version before reads no windows.)
update public.conversion_clicks set offer_id = product_id where offer_id is null and product_id is not null;
comment on column public.conversion_clicks.offer_id is
  'The offer that was clicked, which leads to the product that it is of now. No foreign key: offers go, sales stay.';

-- What analysts may see, and the categories of sales, are decided when a day is computed. By then this release's functions are
-- in place.
insert into private.rollup_days_due (day, due_at) select distinct r.day, now() + interval '10 minutes' from private.rollups r;
