drop index public.products_name_words_idx;
