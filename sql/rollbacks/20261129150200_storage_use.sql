-- The table goes, with what it holds.
drop table private.storage_use;
