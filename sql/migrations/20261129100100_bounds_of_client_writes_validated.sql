-- Brings older rows within the bounds, then has Postgres vouch for all of them.

update public.profiles set preferences = '{}' where not private.is_plain_json(preferences);
update public.recipients set preferences = '{}' where not private.is_plain_json(preferences);
update public.recipients set birthday = null where birthday not between '1800-01-01' and '2200-12-31';
update public.occasions set occurs_on = greatest('1800-01-01', least(occurs_on, '2200-12-31'))
where occurs_on not between '1800-01-01' and '2200-12-31';
update public.swipes set interaction_context = null where not private.is_plain_json(interaction_context);
update public.swipes set undone_at = created_at where not isfinite(undone_at);
update public.analytics_events set properties = '{}' where not private.is_plain_json(properties);
-- A link without an end has no date.
update public.gift_links set expires_at = case when expires_at < now() then created_at end
where expires_at < timestamptz '0002-01-01 00:00:00Z' or expires_at >= timestamptz '9999-01-01 00:00:00Z';
update public.gift_links set revoked_at = created_at where not isfinite(revoked_at);

update public.products set description = left(description, 50000) where char_length(description) > 50000;
update public.products set image_url = null where char_length(image_url) > 2048;

alter table public.profiles validate constraint profiles_preferences_plain;
alter table public.recipients validate constraint recipients_preferences_plain;
alter table public.recipients validate constraint recipients_birthday_range;
alter table public.occasions validate constraint occasions_occurs_on_range;
alter table public.swipes validate constraint swipes_interaction_context_plain;
alter table public.swipes validate constraint swipes_undone_at_finite;
alter table public.analytics_events validate constraint analytics_events_properties_plain;
alter table public.gift_links validate constraint gift_links_expires_at_range;
alter table public.gift_links validate constraint gift_links_revoked_at_finite;
alter table public.products validate constraint products_description_length;
alter table public.products validate constraint products_image_url_length;
alter table public.products validate constraint products_affiliate_url_length;
alter table public.products validate constraint products_external_id_length;
alter table public.products validate constraint products_tags_length;
