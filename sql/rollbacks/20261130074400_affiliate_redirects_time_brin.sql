-- The index affiliate_redirects_time_brin goes.
drop index public.affiliate_redirects_time_brin;
