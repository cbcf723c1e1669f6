-- The index affiliate_redirects_hour_idx goes.
drop index public.affiliate_redirects_hour_idx;
