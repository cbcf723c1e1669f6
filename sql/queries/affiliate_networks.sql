-- Affiliate networks and the rules of their links, for administrators.

-- name: all()
-- Every network, with how many shops and rules it has.
select n.code, n.name, n.source, n.commission_rate, cardinality(n.tracking_hosts) as hosts,
  (select count(*) from public.network_link_rules l where l.network = n.code) as rules,
  (select count(*) from public.retailers r where r.affiliate_network = n.code) as shops
from public.affiliate_networks n order by n.code

-- name: one(code)
select code, name, source, commission_rate, tracking_hosts from public.affiliate_networks where code = :code

-- name: rules(code)
select position, host, path, place, parameter, destination, carries, removes, max_length, characters, source
from public.network_link_rules where network = :code order by position

-- name: placements(code)
select r.slug, p.name, p.tracking_id, p.is_current
from public.placements p join public.retailers r on r.id = p.retailer_id
where p.network = :code order by r.slug, p.is_current desc, p.name, p.tracking_id

-- name: put(code, name, tracking_hosts, commission_rate)
-- A new network, or another name and rate (null: the same) and more tracking hosts for one that exists.
insert into public.affiliate_networks as n (code, name, tracking_hosts, commission_rate)
values (:code, coalesce(:name::text, :code), :tracking_hosts::text[], coalesce(:commission_rate::text::numeric, 0.05))
on conflict (code) do update set name = coalesce(:name::text, n.name),
  commission_rate = coalesce(:commission_rate::text::numeric, n.commission_rate), tracking_hosts = array(
  select h.host from unnest(n.tracking_hosts || :tracking_hosts::text[]) with ordinality h (host, place)
  group by h.host order by min(h.place))

-- name: create(code, name, tracking_hosts, commission_rate)
-- As service_role. Null if there is one with this code.
insert into public.affiliate_networks (code, name, tracking_hosts, commission_rate)
values (:code::text, :name::text, :tracking_hosts::text[], :commission_rate::text::numeric)
on conflict on constraint affiliate_networks_pkey do nothing returning code

-- name: lock(code)
-- As service_role: of two changes at a time the second waits. Null if there is no such network.
select code from public.affiliate_networks where code = :code::text for update

-- name: update(code, name, tracking_hosts, commission_rate)
-- As service_role. Null leaves a column unchanged. What is as it was stays that of the reference data.
update public.affiliate_networks n set name = coalesce(:name::text, n.name),
  tracking_hosts = coalesce(:tracking_hosts::text[], n.tracking_hosts),
  commission_rate = coalesce(:commission_rate::text::numeric, n.commission_rate)
where n.code = :code::text and (n.name, n.tracking_hosts, n.commission_rate) is distinct from (
  coalesce(:name::text, n.name), coalesce(:tracking_hosts::text[], n.tracking_hosts),
  coalesce(:commission_rate::text::numeric, n.commission_rate))

-- name: replace_rules(code, rules)
-- As service_role: these, in their order, in place of all.
with wanted as (
  select r.position, v.*
  from jsonb_array_elements(:rules::text::jsonb) with ordinality r (value, position)
  cross join lateral jsonb_to_record(r.value) v (host text, path text, place text, parameter text, destination text[],
    carries text, removes text[], max_length smallint, characters text)
),
gone as (
  delete from public.network_link_rules l
  where l.network = :code::text and l.position > (select count(*) from wanted)
)
insert into public.network_link_rules (network, position, host, path, place, parameter, destination, carries, removes,
  max_length, characters)
select :code::text, w.position, w.host, w.path, w.place, w.parameter, w.destination, w.carries, w.removes, w.max_length,
  w.characters
from wanted w
on conflict on constraint network_link_rules_pkey do update set host = excluded.host, path = excluded.path,
  place = excluded.place, parameter = excluded.parameter, destination = excluded.destination, carries = excluded.carries,
  removes = excluded.removes, max_length = excluded.max_length, characters = excluded.characters

-- name: put_rule(code, position, host, path, place, parameter, destination, carries, removes, max_length, characters)
-- At this position, in place of a rule there; null: behind the others. Returns the position.
insert into public.network_link_rules (network, position, host, path, place, parameter, destination, carries, removes,
  max_length, characters)
values (:code, coalesce(:position::smallint, (
    select coalesce(max(l.position), 0) + 1 from public.network_link_rules l where l.network = :code)::smallint),
  :host, :path, :place, :parameter, :destination::text[], :carries, :removes::text[], :max_length::smallint, :characters)
on conflict (network, position) do update set host = excluded.host, path = excluded.path, place = excluded.place,
  parameter = excluded.parameter, destination = excluded.destination, carries = excluded.carries,
  removes = excluded.removes, max_length = excluded.max_length, characters = excluded.characters
returning position

-- name: remove_rule(code, position)
delete from public.network_link_rules where network = :code and position = :position::smallint returning position

-- name: remove(code)
-- Fails by a foreign key if a shop, a placement or a sale is of this network.
delete from public.affiliate_networks where code = :code returning code

-- name: shop(retailer_id)
-- What is known of a shop's links.
select r.domain, r.tracking_hosts, r.click_parameter, r.affiliate_network as network,
  coalesce(n.tracking_hosts, '{}') as network_hosts, private.network_rules(r.affiliate_network)::text as rules
from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
where r.id = :retailer_id::uuid

-- name: nameless_shops()
-- Shops without a domain, and what is known of their links.
select r.id, r.domain, r.tracking_hosts, r.click_parameter, r.affiliate_network as network,
  coalesce(n.tracking_hosts, '{}') as network_hosts, private.network_rules(r.affiliate_network)::text as rules
from public.retailers r left join public.affiliate_networks n on n.code = r.affiliate_network
where r.domain is null

-- name: links_of_nameless_shops()
select p.retailer_id, p.affiliate_url
from public.products p join public.retailers r on r.id = p.retailer_id where r.domain is null
