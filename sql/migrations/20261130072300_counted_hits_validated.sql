-- The rows that were there keep these, too: the columns are new.
alter table public.affiliate_redirects
  validate constraint affiliate_redirects_uncounted_reason, validate constraint affiliate_redirects_counted;
alter table public.affiliate_clicks validate constraint affiliate_clicks_device_class;
alter table public.affiliate_networks validate constraint affiliate_networks_click_window_range;
