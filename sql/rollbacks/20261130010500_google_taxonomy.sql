-- The table goes, with what it holds.
drop table private.google_taxonomy;
