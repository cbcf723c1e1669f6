-- What training reads. It returns no id of a person.

drop function if exists private.training_signals();  -- that of earlier releases returned no standing
create function private.training_signals()
returns table (
  products integer[], strengths real[], weights double precision[], days integer[], standing double precision)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with signals as materialized (
    select s.user_id, array_agg(p.number order by s.swiped_at, p.number) as products,
      array_agg(s.preference_strength::real order by s.swiped_at, p.number) as strengths,
      array_agg(s.weight order by s.swiped_at, p.number) as weights,
      array_agg(floor(extract(epoch from s.swiped_at) / 86400)::integer order by s.swiped_at, p.number) as days
    from private.trusted_signals s
    join public.products p on p.id = s.product_id
    where s.weight > 0
    group by s.user_id
  )
  -- Bounded as the weights of a product's signals are (private.trusted_signals): sessions with other products each would
  -- all be trusted.
  select n.products, n.strengths, n.weights, n.days, n.vote * least(1, 8 * n.factor / sum(n.vote) over ranges)
  from (
    select h.*, h.weight * least(1, 2 * h.factor / sum(h.weight) over sites) as vote
    from (
      select n.*, v.is_verified, v.factor, v.site_hash, v.range_hash,
        v.ripeness * least(1, v.factor / sum(v.ripeness) over households) as weight
      from signals n join private.voters v on v.user_id = n.user_id
      where private.has_consent(n.user_id, 'personalisation')
      window households as (partition by v.is_verified, v.range_hash, v.site_hash, v.household_hash)
    ) h
    window sites as (partition by h.is_verified, h.range_hash, h.site_hash)
  ) n
  window ranges as (partition by n.is_verified, n.range_hash)
  order by n.user_id
$$;
comment on function private.training_signals() is
  'A row per person who allows personalisation: products by number, strengths, trust and days, oldest first; '
  'standing: how much the person counts among all people (0..1).';
revoke all on function private.training_signals() from public;
grant execute on function private.training_signals() to service_role;
