-- The function's body was parsed when it was made, so no search_path changes what it does; Supabase's linter asks for it.
alter function private.uuid_v7() set search_path = pg_catalog, pg_temp;
