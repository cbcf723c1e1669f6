drop index private.search_words_stem_idx;
