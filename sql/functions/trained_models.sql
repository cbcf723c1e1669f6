-- What training reads. It returns no id of a person.

create or replace function private.training_signals()
returns table (products integer[], strengths real[], weights double precision[], days integer[])
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select n.products, n.strengths, n.weights, n.days
  from (
    select s.user_id, array_agg(p.number order by s.swiped_at, p.number) as products,
      array_agg(s.preference_strength::real order by s.swiped_at, p.number) as strengths,
      array_agg(s.weight order by s.swiped_at, p.number) as weights,
      array_agg(floor(extract(epoch from s.swiped_at) / 86400)::integer order by s.swiped_at, p.number) as days
    from private.trusted_signals s
    join public.products p on p.id = s.product_id
    where s.weight > 0
    group by s.user_id
  ) n
  where private.has_consent(n.user_id, 'personalisation')
  order by n.user_id
$$;
comment on function private.training_signals() is
  'A row per person who allows personalisation: products by number, strengths, trust and days, oldest first.';
revoke all on function private.training_signals() from public;
grant execute on function private.training_signals() to service_role;
