-- The index affiliate_redirects_visit_key goes.
drop index public.affiliate_redirects_visit_key;
