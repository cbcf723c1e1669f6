-- What a person may write by SQL is bounded by the table, whichever client writes it: docs/sql-writes.md. Rows that are
-- there already are checked by the next migration.

create function private.is_plain_json(p_value jsonb) returns boolean
language sql immutable parallel safe
set search_path = pg_catalog, pg_temp
return not (
  jsonb_path_exists(p_value, 'strict $.**{65}')
  or jsonb_path_exists(p_value,
    'strict $.** ? (@.type() == "number" && (@ > 1.797693134862315e308 || @ < -1.797693134862315e308))'));
comment on function private.is_plain_json(jsonb) is
  'Nested at most 64 levels deep, with no number beyond the range of a double: what every JSON parser reads.';
revoke all on function private.is_plain_json(jsonb) from public, anon, authenticated;
grant execute on function private.is_plain_json(jsonb) to anon, authenticated, service_role;

alter table public.profiles
  add constraint profiles_preferences_plain check (private.is_plain_json(preferences)) not valid;
alter table public.recipients
  add constraint recipients_preferences_plain check (private.is_plain_json(preferences)) not valid,
  add constraint recipients_birthday_range check (birthday between '1800-01-01' and '2200-12-31') not valid;
alter table public.occasions
  add constraint occasions_occurs_on_range check (occurs_on between '1800-01-01' and '2200-12-31') not valid;
alter table public.swipes
  add constraint swipes_interaction_context_plain check (private.is_plain_json(interaction_context)) not valid,
  add constraint swipes_undone_at_finite check (isfinite(undone_at)) not valid;
alter table public.analytics_events
  add constraint analytics_events_properties_plain check (private.is_plain_json(properties)) not valid;
alter table public.gift_links
  add constraint gift_links_expires_at_range
    check (expires_at >= timestamptz '0002-01-01 00:00:00Z' and expires_at < timestamptz '9999-01-01 00:00:00Z') not valid,
  add constraint gift_links_revoked_at_finite check (isfinite(revoked_at)) not valid;
-- The lengths are those of feeds (domain/feed_values.py).
alter table public.products
  add constraint products_description_length check (char_length(description) <= 50000) not valid,
  add constraint products_image_url_length check (char_length(image_url) <= 2048) not valid,
  add constraint products_affiliate_url_length check (char_length(affiliate_url) <= 2048) not valid,
  add constraint products_external_id_length check (char_length(external_id) <= 255) not valid,
  add constraint products_tags_length check (char_length(array_to_string(tags, '')) <= 40000) not valid;
