-- Reference data, as the owner: db/reference.py compares the files of catalogue/reference with the tables. Per table: what is
-- stored (key, value, source), rows to write, keys to remove.

-- name: begin()
-- Marks what this transaction writes as the loader's; one loader at a time.
select set_config('aclue.loads_reference', 'on', true), pg_advisory_xact_lock(hashtext('aclue.refresh_model'));

-- name: end()
select set_config('aclue.loads_reference', '', true);

-- name: loaded()
-- The checksum of the files that were loaded last; null before the first.
select checksum from private.applied_files where name = 'reference data';

-- name: mark(checksum)
insert into private.applied_files (name, checksum) values ('reference data', :checksum)
on conflict (name) do update set checksum = excluded.checksum, applied_at = now();

-- name: has_link_rules()
select exists (select from public.network_link_rules);

-- name: networks_stored()
select n.code as key, n.source, jsonb_build_object('name', n.name, 'tracking_hosts', n.tracking_hosts) as value
from public.affiliate_networks n;

-- name: networks_put(rows)
insert into public.affiliate_networks (code, name, tracking_hosts, source)
select r.key, r.value ->> 'name', array(select jsonb_array_elements_text(r.value -> 'tracking_hosts')), 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
on conflict (code) do update set name = excluded.name, tracking_hosts = excluded.tracking_hosts, source = excluded.source;

-- name: networks_remove(keys)
-- But for those of a shop or with a sale.
delete from public.affiliate_networks n where n.code = any (:keys::text[])
  and not exists (select from public.retailers r where r.affiliate_network = n.code)
  and not exists (select from public.placements p where p.network = n.code)
  and not exists (select from public.conversion_reports c where c.affiliate_network = n.code)
  and not exists (select from public.payments p where p.affiliate_network = n.code);

-- name: link_rules_stored()
select r.network || ' ' || r.position as key, r.source, jsonb_build_object('host', r.host, 'path', r.path,
  'place', r.place, 'parameter', r.parameter, 'destination', r.destination, 'carries', r.carries, 'removes', r.removes,
  'max_length', r.max_length, 'characters', r.characters) as value
from public.network_link_rules r;

-- name: link_rules_put(rows)
insert into public.network_link_rules (network, position, host, path, place, parameter, destination, carries, removes,
  max_length, characters, source)
select split_part(r.key, ' ', 1), split_part(r.key, ' ', 2)::smallint, v.host, v.path, v.place, v.parameter,
  v.destination, v.carries, v.removes, v.max_length, v.characters, 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
cross join lateral jsonb_to_record(r.value) v (host text, path text, place text, parameter text, destination text[],
  carries text, removes text[], max_length smallint, characters text)
on conflict (network, position) do update set host = excluded.host, path = excluded.path, place = excluded.place,
  parameter = excluded.parameter, destination = excluded.destination, carries = excluded.carries,
  removes = excluded.removes, max_length = excluded.max_length, characters = excluded.characters,
  source = excluded.source;

-- name: link_rules_remove(keys)
delete from public.network_link_rules where network || ' ' || position = any (:keys::text[]);

-- name: taxonomy_stored()
select g.slug as key, g.source, jsonb_build_object('name', g.name, 'parent', p.slug, 'position', g.position,
  'google_ids', array(select unnest(g.google_ids) order by 1)) as value
from public.gift_categories g left join public.gift_categories p on p.id = g.parent_id;

-- name: taxonomy_put(rows)
-- Parents first: they are rows of an earlier statement.
insert into public.gift_categories (slug, name, parent_id, position, google_ids, source)
select r.key, r.value ->> 'name', p.id, (r.value ->> 'position')::smallint,
  array(select jsonb_array_elements_text(r.value -> 'google_ids')::integer), 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
left join public.gift_categories p on p.slug = r.value ->> 'parent'
on conflict (slug) do update set name = excluded.name, parent_id = excluded.parent_id, position = excluded.position,
  google_ids = excluded.google_ids, source = excluded.source;

-- name: taxonomy_in_use(keys)
-- Those that an administrator's rows name.
select g.slug from public.gift_categories g where g.slug = any (:keys::text[]) and (
  exists (select from public.gift_categories c where c.parent_id = g.id and c.source = 'admin')
  or exists (select from public.categories c where c.taxonomy_id = g.id and c.taxonomy_source = 'admin')
  or exists (select from private.category_rules r where r.taxonomy_id = g.id and r.source = 'admin')
  or exists (select from public.personality_gift_mappings m where m.taxonomy_id = g.id and m.source = 'admin')
  or exists (select from public.gift_context_categories c where c.taxonomy_id = g.id and c.source = 'admin'));

-- name: taxonomy_remove(keys)
-- Leaves only: a second call removes their parents.
delete from public.gift_categories g where g.slug = any (:keys::text[])
  and not exists (select from public.gift_categories c where c.parent_id = g.id);

-- name: category_rules_stored()
select r.pattern as key, r.source, jsonb_build_object('category', g.slug, 'priority', r.priority) as value
from private.category_rules r join public.gift_categories g on g.id = r.taxonomy_id;

-- name: category_rules_put(rows)
insert into private.category_rules (pattern, taxonomy_id, priority, source)
select r.key, g.id, (r.value ->> 'priority')::smallint, 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
join public.gift_categories g on g.slug = r.value ->> 'category'
on conflict (pattern) do update set taxonomy_id = excluded.taxonomy_id, priority = excluded.priority,
  source = excluded.source;

-- name: category_rules_remove(keys)
delete from private.category_rules where pattern = any (:keys::text[]);

-- name: mappings_stored()
select m.personality_type || ' ' || g.slug as key, m.source, jsonb_build_object('weight', m.recommendation_weight,
  'evidence', m.evidence_strength, 'confidence', m.confidence_score, 'occasions', m.occasion_relevance,
  'prices', m.price_range_modifier) as value
from public.personality_gift_mappings m join public.gift_categories g on g.id = m.taxonomy_id
where m.algorithm_version = '1.0';

-- name: mappings_put(rows)
insert into public.personality_gift_mappings (personality_type, taxonomy_id, recommendation_weight, evidence_strength,
  confidence_score, occasion_relevance, price_range_modifier, source)
select split_part(r.key, ' ', 1), g.id, (r.value ->> 'weight')::numeric, r.value ->> 'evidence',
  (r.value ->> 'confidence')::numeric, r.value -> 'occasions', r.value -> 'prices', 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
join public.gift_categories g on g.slug = split_part(r.key, ' ', 2)
on conflict (taxonomy_id, personality_type, algorithm_version) do update set
  recommendation_weight = excluded.recommendation_weight, evidence_strength = excluded.evidence_strength,
  confidence_score = excluded.confidence_score, occasion_relevance = excluded.occasion_relevance,
  price_range_modifier = excluded.price_range_modifier, source = excluded.source;

-- name: mappings_remove(keys)
delete from public.personality_gift_mappings m using public.gift_categories g
where g.id = m.taxonomy_id and m.algorithm_version = '1.0' and m.personality_type || ' ' || g.slug = any (:keys::text[]);

-- name: tags_stored()
select personality_type || ' ' || tag as key, source, jsonb_build_object('weight', weight) as value
from public.personality_tag_mappings;

-- name: tags_put(rows)
insert into public.personality_tag_mappings (personality_type, tag, weight, source)
select split_part(r.key, ' ', 1), split_part(r.key, ' ', 2), (r.value ->> 'weight')::numeric, 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
on conflict (personality_type, tag) do update set weight = excluded.weight, source = excluded.source;

-- name: tags_remove(keys)
delete from public.personality_tag_mappings where personality_type || ' ' || tag = any (:keys::text[]);

-- name: context_rules_stored()
select concat_ws(' ', kind, value, tag) as key, source,
  jsonb_build_object('weight', round(weight::numeric, 2)) as value
from public.gift_context_rules;

-- name: context_rules_put(rows)
insert into public.gift_context_rules (kind, value, tag, weight, source)
select split_part(r.key, ' ', 1), split_part(r.key, ' ', 2), split_part(r.key, ' ', 3), (r.value ->> 'weight')::real,
  'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
on conflict (kind, value, tag) do update set weight = excluded.weight, source = excluded.source;

-- name: context_rules_remove(keys)
delete from public.gift_context_rules where concat_ws(' ', kind, value, tag) = any (:keys::text[]);

-- name: context_categories_stored()
select concat_ws(' ', c.kind, c.value, g.slug) as key, c.source, jsonb_build_object('weight', c.weight) as value
from public.gift_context_categories c join public.gift_categories g on g.id = c.taxonomy_id;

-- name: context_categories_put(rows)
insert into public.gift_context_categories (kind, value, taxonomy_id, weight, source)
select split_part(r.key, ' ', 1), split_part(r.key, ' ', 2), g.id, (r.value ->> 'weight')::numeric, 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
join public.gift_categories g on g.slug = split_part(r.key, ' ', 3)
on conflict (kind, value, taxonomy_id) do update set weight = excluded.weight, source = excluded.source;

-- name: context_categories_remove(keys)
delete from public.gift_context_categories c using public.gift_categories g
where g.id = c.taxonomy_id and concat_ws(' ', c.kind, c.value, g.slug) = any (:keys::text[]);

-- name: variant_words_stored()
select w.kind || ' ' || w.language as key, w.source, jsonb_build_object('words', w.words) as value
from private.variant_words w;

-- name: variant_words_put(rows)
insert into private.variant_words (kind, language, words, source)
select split_part(r.key, ' ', 1), split_part(r.key, ' ', 2),
  array(select jsonb_array_elements_text(r.value -> 'words')), 'reference'
from jsonb_to_recordset(:rows::jsonb) r (key text, value jsonb)
on conflict (kind, language) do update set words = excluded.words, source = excluded.source;

-- name: variant_words_remove(keys)
delete from private.variant_words w where w.kind || ' ' || w.language = any (:keys::text[]);

-- name: map_categories()
-- All of them, by the rules as they are now.
select private.map_categories(array(select id from public.categories));

-- name: refresh_model()
-- Features by the new mappings, where there is a model already.
select private.refresh_model() where exists (select from public.recommendation_models);
