-- The index affiliate_clicks_offer_id_idx goes.
drop index public.affiliate_clicks_offer_id_idx;
