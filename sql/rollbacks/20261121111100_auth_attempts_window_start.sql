-- The index auth_attempts_window_start_idx goes.
drop index private.auth_attempts_window_start_idx;
