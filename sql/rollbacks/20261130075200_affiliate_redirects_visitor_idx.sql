-- The index affiliate_redirects_visitor_idx goes.
drop index public.affiliate_redirects_visitor_idx;
