drop index public.affiliate_redirects_hour_idx;
