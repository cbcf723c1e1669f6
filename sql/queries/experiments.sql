-- name: current()
-- What runs, or will within a minute.
select key, surface, seed, allocation, starts_at, ends_at, arms from private.current_experiments()

-- name: expose(user_id, arms, ats)
-- As service_role: that a person saw these arms then; the first time of each experiment counts. Nothing without consent
-- to analytics, or outside the experiment's time.
insert into public.experiment_exposures as old (user_id, experiment_id, variant, exposed_at)
select distinct on (a.experiment_id) :user_id::uuid, a.experiment_id, a.name, i.at
from unnest(:arms::int[], :ats::timestamptz[]) i (arm, at)
join public.experiment_arms a on a.number = i.arm
join public.experiments e on e.id = a.experiment_id and i.at >= e.starts_at and (e.ends_at is null or i.at < e.ends_at)
where private.has_consent(:user_id::uuid, 'analytics')
order by a.experiment_id, i.at
on conflict (user_id, experiment_id) do update set exposed_at = excluded.exposed_at
  where old.variant = excluded.variant and excluded.exposed_at < old.exposed_at

-- name: defaults()
-- As the owner, like all below: the parameters that arms may override.
select private.default_model_parameters()

-- name: create(key, description, surface, allocation)
insert into public.experiments (key, description, surface, allocation)
values (:key, :description, :surface, :allocation::real) on conflict (key) do nothing returning id

-- name: add_arms(experiment_id, names, shares, parameters)
insert into public.experiment_arms (experiment_id, name, share, parameters)
select :experiment_id::uuid, a.name, a.share, a.parameters::jsonb
from unnest(:names::text[], :shares::real[], :parameters::text[]) with ordinality a (name, share, parameters, n)
order by a.n

-- name: start(key, starts_at, ends_at)
update public.experiments set starts_at = coalesce(:starts_at::timestamptz, now()), ends_at = :ends_at::timestamptz
where key = :key and (starts_at is null or starts_at > now()) returning starts_at, ends_at

-- name: stop(key)
update public.experiments set ends_at = now() where key = :key and starts_at < now() and (ends_at is null or ends_at > now())
returning ends_at

-- name: list()
select e.key, e.surface, e.description, e.allocation, e.starts_at, e.ends_at, now() as now,
  array(select a.name from public.experiment_arms a where a.experiment_id = e.id order by a.number) as arms,
  (select count(*) from public.experiment_exposures x where x.experiment_id = e.id) as people
from public.experiments e order by e.starts_at desc nulls first, e.key

-- name: find(key)
select id, key, surface, description, allocation, starts_at, ends_at from public.experiments where key = :key

-- name: units(experiment_id)
-- People per arm.
select a.number, a.name, a.share::double precision as share, (
  select count(*) from public.experiment_exposures x
  where x.experiment_id = a.experiment_id and x.variant = a.name) as people
from public.experiment_arms a where a.experiment_id = :experiment_id::uuid order by a.number

-- name: running_units()
-- As service_role: people per arm of the experiments that run.
select e.key, a.name, a.share::double precision as share, (
  select count(*) from public.experiment_exposures x
  where x.experiment_id = a.experiment_id and x.variant = a.name) as people
from public.experiments e join public.experiment_arms a on a.experiment_id = e.id
where e.starts_at <= now() and (e.ends_at is null or e.ends_at > now())
order by e.key, a.number

-- name: outcomes(experiment_id)
-- Sums over the people of each arm, for ratios whose unit is the person (n: impressions, y: likes, z: clicks). Of an
-- experiment with a surface, impressions that its arms ranked; otherwise all since the person was exposed. People who saw
-- two arms, as when two sessions were merged, are counted apart and left out.
with acts as (
  select x.user_id, x.variant, bool_or(s.name is not null and s.name <> x.variant) as is_crossed,
    count(*) filter (where o.shown_at >= x.exposed_at)::double precision as n,
    count(*) filter (where o.shown_at >= x.exposed_at and o.is_liked)::double precision as y,
    count(*) filter (where o.shown_at >= x.exposed_at and o.is_clicked)::double precision as z
  from public.experiments e
  join public.experiment_exposures x on x.experiment_id = e.id
  left join private.impression_outcomes(
    (select starts_at from public.experiments where id = :experiment_id::uuid),
    (select least(ends_at, now() + interval '10 minutes') from public.experiments where id = :experiment_id::uuid),
    (select array_agg(a.number::int) from public.experiment_arms a join public.experiments g on g.id = a.experiment_id
      where g.id = :experiment_id::uuid and g.surface is not null)) o on o.user_id = x.user_id
  left join public.experiment_arms s on s.experiment_id = e.id and s.number = o.arm
  where e.id = :experiment_id::uuid
  group by 1, 2
)
select variant, count(*) filter (where is_crossed) as crossed,
  count(*) filter (where not coalesce(is_crossed, false) and n > 0) as people,
  coalesce(sum(n) filter (where not is_crossed), 0) as n, coalesce(sum(y) filter (where not is_crossed), 0) as y,
  coalesce(sum(z) filter (where not is_crossed), 0) as z, coalesce(sum(n * n) filter (where not is_crossed), 0) as nn,
  coalesce(sum(n * y) filter (where not is_crossed), 0) as ny, coalesce(sum(n * z) filter (where not is_crossed), 0) as nz,
  coalesce(sum(y * y) filter (where not is_crossed), 0) as yy, coalesce(sum(z * z) filter (where not is_crossed), 0) as zz
from acts group by variant

-- name: explored(experiment_id)
-- Of impressions in slots that explored: per arm, sums for self-normalised inverse propensity weighting (w = 1/propensity).
select a.name, count(*) as impressions, coalesce(sum(1 / o.propensity::double precision), 0) as w,
  coalesce(sum(1 / o.propensity::double precision ^ 2), 0) as ww,
  coalesce(sum(1 / o.propensity::double precision) filter (where o.is_liked), 0) as wy,
  coalesce(sum(1 / o.propensity::double precision ^ 2) filter (where o.is_liked), 0) as wwy,
  coalesce(sum(1 / o.propensity::double precision) filter (where o.is_clicked), 0) as wz,
  coalesce(sum(1 / o.propensity::double precision ^ 2) filter (where o.is_clicked), 0) as wwz
from public.experiments e
cross join lateral private.impression_outcomes(
  e.starts_at, coalesce(e.ends_at, now() + interval '10 minutes'),
  (select array_agg(number::int) from public.experiment_arms where experiment_id = e.id)) o
join public.experiment_arms a on a.experiment_id = e.id and a.number = o.arm
where e.id = :experiment_id::uuid and o.propensity < 1
group by a.name
