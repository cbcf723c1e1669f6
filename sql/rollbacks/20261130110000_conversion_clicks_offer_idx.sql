-- The index of offers in clicks of sales goes.
drop index public.conversion_clicks_offer_id_idx;
