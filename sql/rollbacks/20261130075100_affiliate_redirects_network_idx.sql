-- The index affiliate_redirects_network_idx goes.
drop index public.affiliate_redirects_network_idx;
