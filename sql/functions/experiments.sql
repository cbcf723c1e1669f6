-- Experiments: docs/experiments.md.

create or replace function private.merge_json(p_base jsonb, p_over jsonb) returns jsonb
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
  if jsonb_typeof(p_base) is distinct from 'object' or jsonb_typeof(p_over) is distinct from 'object' then
    return coalesce(p_over, p_base);
  end if;
  return p_base || coalesce(
    (select jsonb_object_agg(o.key, private.merge_json(p_base -> o.key, o.value)) from jsonb_each(p_over) o), '{}');
end
$$;
comment on function private.merge_json(jsonb, jsonb) is 'The first with what the second has in its place, object by object.';

-- With its owner's rights: people may not read arms, but are ranked by them.
create or replace function private.model_parameters(p_model integer, p_arm integer) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select case when p_arm = 0 then m.parameters
    else private.merge_json(m.parameters, (select a.parameters from public.experiment_arms a where a.number = p_arm)) end
  from public.recommendation_models m where m.version = p_model
$$;
comment on function private.model_parameters(integer, integer) is
  'What this arm (0: none) ranks with: the parameters of a model and what the arm overrides; null without the model.';

create or replace function private.current_experiments()
returns table (
  id uuid, key text, surface text, seed uuid, allocation double precision, starts_at timestamptz, ends_at timestamptz,
  arms jsonb)
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select e.id, e.key, e.surface, e.seed, e.allocation, e.starts_at, e.ends_at, (
    select jsonb_agg(jsonb_build_object(
      'number', a.number, 'name', a.name, 'share', a.share, 'parameters', a.parameters) order by a.number)
    from public.experiment_arms a where a.experiment_id = e.id)
  from public.experiments e
  where e.starts_at <= clock_timestamp() + interval '1 minute' and (e.ends_at is null or e.ends_at > clock_timestamp())
  order by e.key
$$;
comment on function private.current_experiments() is 'Experiments that run, or will within a minute, with their arms.';

-- A running experiment means one thing from start to end, and an ended one can still be read.
create or replace function private.protect_experiments() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  fixed constant text[] := array['ends_at', 'updated_at'];
begin
  if tg_op = 'INSERT' then
    if new.starts_at is not null then
      raise object_not_in_prerequisite_state
        using message = pg_catalog.format('experiment %s has no arms yet: it starts later', new.key);
    end if;
  elsif old.starts_at <= now() then
    if tg_op = 'DELETE' then
      raise object_not_in_prerequisite_state using message = pg_catalog.format('experiment %s has started: it stays', old.key);
    elsif to_jsonb(old) - fixed <> to_jsonb(new) - fixed then
      raise object_not_in_prerequisite_state
        using message = pg_catalog.format('experiment %s has started: only its end can be set', old.key);
    elsif new.ends_at is distinct from old.ends_at and (old.ends_at <= now() or new.ends_at < now()) then
      raise object_not_in_prerequisite_state
        using message = pg_catalog.format('experiment %s: an end in the past does not change', old.key);
    end if;
  elsif tg_op = 'UPDATE' and new.starts_at is not null and (
    select count(*) from public.experiment_arms a where a.experiment_id = new.id) not between 2 and 10
  then
    raise object_not_in_prerequisite_state
      using message = pg_catalog.format('experiment %s needs 2 to 10 arms to start', new.key);
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function private.protect_experiments() is 'Refuses changes of an experiment that has started.';
create or replace trigger experiments_protected before insert or update or delete on public.experiments
  for each row execute function private.protect_experiments();

create or replace function private.protect_experiment_arms() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (
    select from public.experiments e
    where e.id in (old.experiment_id, new.experiment_id) and e.starts_at <= now())
  then
    raise object_not_in_prerequisite_state using message = 'the experiment has started: its arms stay as they are';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end
$$;
comment on function private.protect_experiment_arms() is 'Refuses changes of the arms of an experiment that has started.';
create or replace trigger experiment_arms_protected before insert or update or delete on public.experiment_arms
  for each row execute function private.protect_experiment_arms();

revoke all on function private.merge_json(jsonb, jsonb), private.model_parameters(integer, integer),
  private.current_experiments(), private.protect_experiments(), private.protect_experiment_arms()
  from public, anon, authenticated;
grant execute on function private.model_parameters(integer, integer), private.current_experiments()
  to anon, authenticated, service_role;
