drop table private.google_taxonomy;
