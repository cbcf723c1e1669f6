-- Networks, the rules of their links, and placements.

create or replace trigger affiliate_networks_edited before insert or update on public.affiliate_networks
  for each row execute function private.mark_edited();
create or replace trigger network_link_rules_edited before insert or update on public.network_link_rules
  for each row execute function private.mark_edited();

-- A tracking id may serve several shops of one account, but always the same place: a sale has nothing else to say where it
-- came from.
create or replace function private.check_placement() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('aclue.placements'));
  if (select pg_catalog.count(*) from public.placements p where p.retailer_id = new.retailer_id and p.is_current) > 100 then
    raise check_violation using constraint = 'placements_count', table = 'placements', schema = 'public',
      message = 'a shop has at most 100 placements at a time';
  end if;
  if exists (
    select from public.placements p
    where p.network = new.network and p.tracking_id = new.tracking_id and p.name <> new.name)
  then
    raise unique_violation using constraint = 'placements_one_place', table = 'placements', schema = 'public',
      message = 'tracking id ' || new.tracking_id || ' belongs to another placement';
  end if;
  return null;
end
$$;
create or replace trigger placements_checked after insert or update on public.placements
  for each row execute function private.check_placement();

create or replace function private.network_rules(p_network text) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object('host', r.host, 'path', r.path, 'place', r.place, 'parameter', r.parameter,
    'destination', r.destination, 'carries', r.carries, 'removes', r.removes, 'max_length', r.max_length,
    'characters', r.characters) order by r.position), '[]')
  from public.network_link_rules r where r.network = p_network
$$;
comment on function private.network_rules(text) is 'The rules of a network''s links in their order, as domain/links.py reads them.';

revoke all on function private.check_placement(), private.network_rules(text) from public, anon, authenticated, service_role;
grant execute on function private.network_rules(text) to anon, authenticated, service_role;
