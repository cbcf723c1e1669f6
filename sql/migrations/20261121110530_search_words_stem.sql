-- aclue: no transaction
-- Whether any word of the catalogue has the stem of a word that is searched for.
-- Without "if not exists", which would keep the invalid index of an interrupted build.
-- squawk-ignore prefer-robust-stmts
create index concurrently search_words_stem_idx on private.search_words using gin (stem);
