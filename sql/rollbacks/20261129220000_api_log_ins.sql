drop table private.api_log_ins;
