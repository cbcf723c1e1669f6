-- Which days of the figures have changed: triggers note them, and private.refresh_rollups() computes them (rollups.sql).

-- Days that are over wait until all that is said of them in ten minutes is known, and ten minutes more: however many late
-- rows come, a day is computed once in that time. And a late impression and an act on it that are written at once, and do not
-- see each other, are then both seen.
create or replace function private.note_days(p_days date[]) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.rollup_days_due (day, due_at)
  select d.day, d.due_at
  from (
    select u.day, case when u.day < (now() at time zone 'UTC')::date
      then date_bin('10 minutes', now(), 'epoch') + interval '20 minutes' else now() end as due_at
    from unnest(p_days) u (day)) d
  -- One mark a transaction: an import has many statements. The marks of others may be deleted before this one commits.
  where d.day is not null and not exists (
    select from private.rollup_days_due known
    where known.day = d.day and known.due_at = d.due_at and not known.is_postponed
      and known.xmin = pg_current_xact_id()::xid)
$$;
comment on function private.note_days(date[]) is 'Lets the rollups of these days be computed again.';

create or replace function private.note_days_between(p_since timestamptz, p_until timestamptz) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select private.note_days(array(
    select g.at::date
    from generate_series((p_since at time zone 'UTC')::date::timestamp, (p_until at time zone 'UTC')::date, '1 day') g (at)))
$$;
comment on function private.note_days_between(timestamptz, timestamptz) is 'The same of all days from one to another, UTC.';

-- Each day since people came, and of what is older only the days of orders: a source may name any year.
create or replace function private.rollup_days() returns setof date
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select g.at::date
  from generate_series(
    least((select min(p.created_at) from public.profiles p) - interval '32 days', now()) at time zone 'UTC',  -- as old as ids of clients may be
    (now() + interval '1 day') at time zone 'UTC', '1 day') g (at)
  union select (c.ordered_at at time zone 'UTC')::date from public.conversions c
  union select r.day from private.rollups r where r.report = 'funnel' and r.grouping_name = ''
$$;
comment on function private.rollup_days() is 'All days that may have rollups.';

create or replace function private.note_all_rollup_days() returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  insert into private.rollup_days_due (day) select * from private.rollup_days()
$$;
comment on function private.note_all_rollup_days() is 'Lets all rollups be computed again.';

create or replace function private.day_of(p_time text) returns date
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select (case when p_time ~ '^[0-9a-f]{8}-' then private.uuid_v7_time(p_time::uuid) else p_time::timestamptz end
    at time zone 'UTC')::date
$$;
comment on function private.day_of(text) is 'The day (UTC) of a timestamp, or of the time in a UUIDv7.';

create or replace function private.note_outcomes(p_users uuid[], p_products uuid[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.note_days(array(
    select distinct (i.shown_at at time zone 'UTC')::date from unnest(p_users, p_products) t (user_id, product_id)
    join public.impressions i on i.user_id = t.user_id and i.product_id = t.product_id
    where exists (
      select from public.recommendations r where r.user_id = i.user_id and r.product_id = i.product_id)));
end
$$;
comment on function private.note_outcomes(uuid[], uuid[]) is
  'The same of the days on which these people were shown recommendations of the product at the same place.';

-- After each statement. The first argument is the column with the time; of `id` it is the time in it. With a second one,
-- rows may change what came of impressions of other days.
create or replace function private.note_changed_days() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' then
    perform private.note_days(array(select distinct private.day_of(to_jsonb(t) ->> tg_argv[0]) from before t));
    if tg_nargs > 1 then
      perform private.note_outcomes(array_agg(t.user_id), array_agg(t.product_id))
      from (select distinct b.user_id, b.product_id from before b) t;
    end if;
  end if;
  if tg_op <> 'DELETE' then
    perform private.note_days(array(select distinct private.day_of(to_jsonb(t) ->> tg_argv[0]) from after t));
    if tg_nargs > 1 then
      perform private.note_outcomes(array_agg(t.user_id), array_agg(t.product_id))
      from (select distinct a.user_id, a.product_id from after a) t;
    end if;
  end if;
  return null;
end
$$;

-- Which visit led to an order is counted with the day of the order, which knows the click that the sale has now. A click that it
-- had before is told of by its own day. The join is planned for the rows of this statement: see below.
create or replace function private.note_left_clicks() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  execute $sql$
    select private.note_days(array(
      select distinct (k.click_timestamp at time zone 'UTC')::date
      from before b join after t on t.id = b.id join public.affiliate_clicks k on k.id = b.click_id
      where t.click_id is distinct from b.click_id))
  $sql$;
  return null;
end
$$;

create or replace function private.sale_days(p_offers uuid[]) returns setof date
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select (c.ordered_at at time zone 'UTC')::date
  from public.conversion_clicks m
  join public.conversions c on c.affiliate_network = m.affiliate_network and c.reference = m.reference
  where m.offer_id = any (p_offers)
  union
  select (c.ordered_at at time zone 'UTC')::date from public.conversions c where c.product_id = any (p_offers)
$$;
comment on function private.sale_days(uuid[]) is
  'The days (UTC) of the orders of these offers; of a sale without one its product names the listing, as in private.funnel_facts().';

-- A merge or a split gives offers to another product, of maybe another category.
create or replace function private.note_moved_offer() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.note_days(array(select * from private.sale_days(array[new.id])));
  return null;
end
$$;

-- What was counted of a visit says nothing of other rows. The join is planned for the rows of this statement: a plan for few
-- takes quadratic time for many.
create or replace function private.note_visit_days() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    perform private.note_days_between(t.started_at, t.started_at + interval '1 day') from after t;
  elsif tg_op = 'DELETE' then
    perform private.note_days_between(t.started_at, coalesce(t.ended_at, t.started_at) + interval '1 day') from before t;
  else
    execute $sql$
      select count(private.note_days_between(t.started_at, coalesce(t.ended_at, t.started_at) + interval '1 day'))
      from before b join after t on t.id = b.id
      where (b.user_id, b.session_id, b.landing_page, b.device_class, b.campaign, b.started_at)
        is distinct from (t.user_id, t.session_id, t.landing_page, t.device_class, t.campaign, t.started_at)
    $sql$;
  end if;
  return null;
end
$$;

create or replace function private.note_matched_days() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.note_days_between(c.ordered_at, c.ordered_at)
  from after t join public.conversions c on c.affiliate_network = t.affiliate_network and c.reference = t.reference;
  return null;
end
$$;

-- Figures have the category that a product has now. Of many products their days are not looked up. The join is planned for
-- the rows of this statement, as above.
create or replace function private.note_category_days() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $$
declare
  moved uuid[];
begin
  execute $sql$
    select array(
      select t.id from before b join after t on t.id = b.id where t.category_id is distinct from b.category_id limit 1001)
  $sql$ into moved;
  if cardinality(moved) > 1000 then
    perform private.note_all_rollup_days();
  elsif cardinality(moved) > 0 then
    perform private.note_days(array(select distinct (a.at at time zone 'UTC')::date from (
      select private.uuid_v7_time(t.id) as at from public.product_views t where t.product_id = any (moved)
      union all select t.shown_at from public.impressions t where t.product_id = any (moved)
      union all select t.created_at from public.swipes t where t.product_id = any (moved)
      union all select t.click_timestamp from public.affiliate_clicks t where t.product_id = any (moved)
      union all
      select f.redirected_at from public.affiliate_clicks t
      join public.affiliate_redirects f on f.user_id = t.user_id and f.click_id = t.id where t.product_id = any (moved)
      union all
      select d.day::timestamp at time zone 'UTC'
      from private.sale_days(array(select o.id from public.product_offers o where o.product_id = any (moved))) d (day)) a));
  end if;
  return null;
end
$$;

do $$
declare
  t record;
begin
  for t in
    select * from (values
      ('public.product_views', 'private.note_changed_days(''id'')'),
      ('public.analytics_events', 'private.note_changed_days(''id'')'),
      ('public.impressions', 'private.note_changed_days(''shown_at'', ''acts'')'),
      ('public.swipes', 'private.note_changed_days(''created_at'', ''acts'')'),
      ('public.recommendation_feedback', 'private.note_changed_days(''created_at'', ''acts'')'),
      ('public.affiliate_clicks', 'private.note_changed_days(''click_timestamp'', ''acts'')'),
      ('public.affiliate_redirects', 'private.note_changed_days(''redirected_at'')'),
      ('public.conversions', 'private.note_changed_days(''ordered_at'')'),
      ('public.session_analytics', 'private.note_visit_days()')) tables (name, call)
  loop
    execute format('create or replace trigger rollups_added after insert on %s referencing new table as after
      for each statement execute function %s', t.name, t.call);
    execute format('create or replace trigger rollups_changed after update on %s
      referencing old table as before new table as after for each statement execute function %s', t.name, t.call);
    execute format('create or replace trigger rollups_removed after delete on %s referencing old table as before
      for each statement execute function %s', t.name, t.call);
  end loop;
end
$$;
create or replace trigger rollups_click_left after update on public.conversions
  referencing old table as before new table as after for each statement execute function private.note_left_clicks();
create or replace trigger rollups_moved after update of product_id on public.product_offers
  for each row when (old.product_id is distinct from new.product_id) execute function private.note_moved_offer();
create or replace trigger rollups_added after insert on public.conversion_clicks referencing new table as after
  for each statement execute function private.note_matched_days();
create or replace trigger rollups_changed after update on public.conversion_clicks referencing new table as after
  for each statement execute function private.note_matched_days();
create or replace trigger rollups_changed after update on public.products referencing old table as before new table as after
  for each statement execute function private.note_category_days();

revoke all on function private.note_days(date[]), private.note_days_between(timestamptz, timestamptz),
  private.rollup_days(), private.note_all_rollup_days(), private.day_of(text), private.note_outcomes(uuid[], uuid[]),
  private.note_changed_days(), private.note_left_clicks(), private.sale_days(uuid[]), private.note_moved_offer(),
  private.note_visit_days(), private.note_matched_days(), private.note_category_days()
  from public, anon, authenticated;
grant execute on function private.rollup_days(), private.note_all_rollup_days() to service_role;
