-- Nobody reaches these but the functions of their owner.
revoke all on table private.search_words from public, anon, authenticated, service_role;
revoke all on table private.search_variants from public, anon, authenticated, service_role;
revoke all on table private.auth_attempts from public, anon, authenticated, service_role;
