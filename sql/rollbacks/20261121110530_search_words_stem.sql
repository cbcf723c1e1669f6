-- The index search_words_stem_idx goes.
drop index private.search_words_stem_idx;
