-- The table goes, with what it holds.
drop table private.api_log_ins;
