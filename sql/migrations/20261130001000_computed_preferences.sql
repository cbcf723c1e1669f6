-- Preferences are computed when they are read: sql/functions/user_preferences.sql has a view with the table's columns.

-- Nothing is lost: each row was derived from swipes.
-- squawk-ignore ban-drop-table
drop table public.user_preferences;
