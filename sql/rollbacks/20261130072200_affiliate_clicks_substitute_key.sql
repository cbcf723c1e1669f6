-- The index affiliate_clicks_substitute_key goes.
drop index public.affiliate_clicks_substitute_key;
