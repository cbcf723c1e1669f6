-- Preferences are computed when they are read: sql/functions/user_preferences.sql has a view with the table's columns.

drop function if exists private.update_preferences(uuid[]);
drop table public.user_preferences;
