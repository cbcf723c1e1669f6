-- The index products_name_words_idx goes.
drop index public.products_name_words_idx;
