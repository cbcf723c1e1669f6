drop table private.storage_use;
