-- What an import changes is recorded by triggers, and can be taken back: docs/imports.md.

-- The tables that imports write, parents first. A table joins by one line here.
-- ignored: derived columns, neither recorded nor restored. silent: recorded beside other changes only. unchecked:
-- restored whatever was written since. parent: the column with the product; rows of a product that the run has inserted
-- are not recorded, as they go with it; an offer, which has its product's id, is, as it has what
-- the product only shows.
create or replace function private.import_tables() returns table (
  name text, place integer, ignored text[], silent text[], unchecked text[], parent text)
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  values
    ('public.retailers', 1, '{updated_at}'::text[], '{}'::text[], '{is_rate_edited}'::text[], null),
    ('public.brands', 2, '{updated_at}', '{}', '{}', null),
    ('public.categories', 3, '{updated_at}', '{}', '{taxonomy_id,taxonomy_source}', null),
    -- What it shows of its leading offer follows from the offers.
    ('public.products', 4, '{popularity,search_names,search,name_key,item_group_key,updated_at}',
      '{offer_id,seller_id,is_active,price_minor,currency,in_stock,affiliate_url,shipping_minor,regular_price_minor,'
      'sale_price_minor,sale_starts_at,sale_ends_at}', '{}', null),
    ('public.product_offers', 5, '{}', '{last_seen_at,link_checked_at}', '{first_seen_at,link_failures,edited}', 'id'),
    ('public.product_prices', 6, '{}', '{}', '{price_minor,currency}', 'product_id'),
    ('public.product_origins', 7, '{}', '{}', '{run_id,line}', 'product_id'),
    ('public.placements', 8, '{created_at}', '{}', '{}', null)
$$;

create or replace function private.import_columns(
  p_table regclass, out key text[], out columns text[], out written text[], out recorded text[],
  out checked text[], out parent text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    (select array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum))
      from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
      where i.indrelid = p_table and i.indisprimary),
    array_agg(a.attname::text order by a.attnum),
    array_agg(a.attname::text order by a.attnum) filter (where a.attidentity <> 'a'),
    array_agg(a.attname::text order by a.attnum) filter (where a.attname::text <> all (t.silent)),
    array_agg(a.attname::text order by a.attnum) filter (where a.attname::text <> all (t.silent || t.unchecked)),
    min(t.parent)
  from private.import_tables() t
  join pg_attribute a on a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attname::text <> all (t.ignored)
  where to_regclass(t.name) = p_table
$$;
comment on function private.import_columns(regclass) is
  'Columns of a table that imports write: its key; what is recorded; what of it can be updated; what counts as a change; '
  'what nobody may have written since.';

create or replace function private.recorded_columns() returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_object_agg(i.name, jsonb_build_object('columns', c.columns, 'checked', c.checked))
  from private.import_tables() i cross join lateral private.import_columns(i.name::regclass) c
$$;
comment on function private.recorded_columns() is 'By table, the columns that a run records now: import_runs.table_columns.';

create or replace function private.import_object(p_columns text[], p_alias text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select 'jsonb_build_object(' || string_agg(format('%L, %s.%I', c, p_alias, c), ', ' order by n) || ')'
  from unnest(p_columns) with ordinality u (c, n)
$$;

-- A price that a sale changes on its day is as the run left it: the fingerprint has the one without the sale.
create or replace function private.import_fingerprint(p_columns text[], p_alias text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select 'hash_record_extended(row(' || string_agg(
    case when c = 'price_minor' and 'regular_price_minor' = any (p_columns)
      then format('coalesce(%1$s.regular_price_minor, %1$s.price_minor)', p_alias)
      else format('%s.%I', p_alias, c) end, ', ' order by n) || '), 0)'
  from unnest(p_columns) with ordinality u (c, n)
$$;

create or replace function private.import_match(p_key text[], p_left text, p_right text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(format('%s.%I = %s.%I', p_left, c, p_right, c), ' and ') from unnest(p_key) c
$$;

create or replace function private.record_import() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  run constant uuid := current_setting('aclue.import_run')::uuid;
  name constant text := format('%I.%I', tg_table_schema, tg_table_name);
  t constant record := private.import_columns(tg_relid);
  row_key constant text := private.import_object(t.key, case when tg_op = 'DELETE' then 'o' else 'n' end);
  differing text;
begin
  if tg_op = 'INSERT' then
    execute format(
      'insert into private.import_changes (run_id, table_name, operation, row_key, fingerprint) '
      'select $1, $2, ''insert'', %s, %s from added n %s',
      row_key, private.import_fingerprint(t.checked, 'n'),
      case when t.parent <> 'id' then format(
        'where not exists (select from public.products p where p.id = n.%I and p.created_at = now())', t.parent) else '' end)
    using run, name;
  elsif tg_op = 'UPDATE' then
    select string_agg(format(
      'case when o.%1$I is distinct from n.%1$I then jsonb_build_object(%1$L, %%1$s.%1$I) else ''{}'' end', c), ' || ')
    into differing from unnest(t.columns) c where c <> all (t.key);
    execute format(
      'insert into private.import_changes (run_id, table_name, operation, row_key, before, after, fingerprint) '
      'select $1, $2, ''update'', %s, %s, %s, %s from previous o join added n on %s '
      'where (%s) is distinct from (%s)',
      row_key, format(differing, 'o'), format(differing, 'n'), private.import_fingerprint(t.checked, 'n'),
      private.import_match(t.key, 'o', 'n'),
      (select string_agg(format('o.%I', c), ', ') from unnest(t.recorded) c),
      (select string_agg(format('n.%I', c), ', ') from unnest(t.recorded) c))
    using run, name;
  else
    execute format(
      'insert into private.import_changes (run_id, table_name, operation, row_key, before) '
      'select $1, $2, ''delete'', %s, %s from previous o', row_key, private.import_object(t.columns, 'o'))
    using run, name;
  end if;
  return null;
end
$$;
comment on function private.record_import() is
  'Records the rows that a statement of an import changed: set-wise, and only while aclue.import_run names a run.';

-- The names sort first, so that changes by other triggers are recorded after those that cause them.
do $$
declare
  t record;
  recording constant text :=
    'for each statement when (nullif(current_setting(''aclue.import_run'', true), '''') is not null) '
    'execute function private.record_import()';
begin
  for t in select i.name::regclass as name from private.import_tables() i where to_regclass(i.name) is not null loop
    execute format('create or replace trigger _import_inserted after insert on %s referencing new table as added %s',
      t.name, recording);
    execute format(
      'create or replace trigger _import_updated after update on %s referencing old table as previous new table as added %s',
      t.name, recording);
    execute format('create or replace trigger _import_deleted after delete on %s referencing old table as previous %s',
      t.name, recording);
  end loop;
end
$$;

create or replace function private.interrupted_imports() returns integer
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with ended as (
    update public.import_runs set outcome = 'interrupted', finished_at = now()
    where outcome = 'running' and pg_try_advisory_xact_lock(hashtext('aclue.import_run'), number::integer)
    returning 1)
  select count(*)::integer from ended
$$;
comment on function private.interrupted_imports() is
  'Marks the runs whose process has ended without a word: each holds a lock while it runs.';

create or replace function private.purge_import_changes(p_days integer, p_maximum integer) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  gone integer;
  more integer;
begin
  -- First, so that a run with half of its changes is never taken back.
  update public.import_runs set is_forgotten = true
  where not is_forgotten and finished_at < now() - make_interval(days => greatest(p_days, 1));
  delete from private.import_changes where (run_id, number) in (
    select c.run_id, c.number from private.import_changes c
    join public.import_runs r on r.id = c.run_id where r.is_forgotten limit p_maximum);
  get diagnostics gone = row_count;
  delete from private.import_rejects where (run_id, number) in (
    select e.run_id, e.number from private.import_rejects e
    join public.import_runs r on r.id = e.run_id where r.is_forgotten limit p_maximum - gone);
  get diagnostics more = row_count;
  return gone + more;
end
$$;
comment on function private.purge_import_changes(integer, integer) is
  'Deletes at most so many changes and rejects of runs that ended more than so many days ago; returns how many.';

create or replace function private.import_merged(p_images jsonb[]) returns jsonb
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select case when cardinality(p_images) < 2 then p_images[1] else (
    select jsonb_object_agg(e.key, e.value order by i.n)
    from unnest(p_images) with ordinality i (image, n) cross join jsonb_each(i.image) e) end
$$;
comment on function private.import_merged(jsonb[]) is 'One object of several: of equal keys the last counts.';

create or replace function private.undo_match(p_key text[], p_table text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(format('t.%1$I = (jsonb_populate_record(null::%2$s, u.row_key)).%1$I', k, p_table), ' and ')
  from unnest(p_key) k
$$;

-- The functions below are called by the owner, one after another in one transaction.
create or replace function private.prepare_undo(p_run uuid) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  create temporary table import_undo on commit drop as
  select table_name, row_key, operation, before, after, fingerprint
  from (
    select c.table_name, c.row_key,
      case
        when firsts[1] = 'insert' and lasts[1] = 'delete' then null
        when firsts[1] = 'insert' then 'insert'
        when lasts[1] = 'delete' then 'delete'
        else 'update' end as operation,
      private.import_merged(befores) as before, private.import_merged(afters) as after, prints[1] as fingerprint
    from (
      select table_name, row_key, array_agg(operation order by number) as firsts,
        array_agg(operation order by number desc) as lasts,
        array_agg(before order by number desc) filter (where before is not null) as befores,
        array_agg(after order by number) filter (where after is not null) as afters,
        array_agg(fingerprint order by number desc) as prints
      from private.import_changes where run_id = p_run group by table_name, row_key
    ) c
  ) net where operation is not null;
  create temporary table import_conflicts (
    table_name text, row_key jsonb, label text, column_name text, was_set jsonb, is_now jsonb, reason text) on commit drop;
  -- A column that is younger than the run is neither compared nor restored.
  create temporary table import_undo_tables on commit drop as
  select i.name, i.place, i.parent, c.key,
    array(select n from unnest(c.columns) n where r.known is null or r.known -> 'columns' ? n) as columns,
    array(select n from unnest(c.written) n where r.known is null or r.known -> 'columns' ? n) as written,
    coalesce(
      (select array_agg(k.n order by k.at) from jsonb_array_elements_text(r.known -> 'checked') with ordinality k (n, at)
       where k.n = any (c.columns)),
      c.checked) as checked
  from private.import_tables() i
  cross join lateral private.import_columns(i.name::regclass) c
  cross join lateral (select n.table_columns -> i.name as known from public.import_runs n where n.id = p_run) r;
  analyze import_undo;
end
$$;
comment on function private.prepare_undo(uuid) is
  'The net changes of a run, and the tables with the columns that it knew, as temporary tables.';

create or replace function private.find_undo_conflicts() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  t record;
  unique_key record;
  -- An offer has the id of its listing.
  label constant text := 'coalesce(to_jsonb(t) ->> ''external_id'', to_jsonb(t) ->> ''slug'','
    '(select l.external_id from public.products l where l.id = (to_jsonb(t) ->> ''id'')::uuid))';
  at text;
begin
  for t in
    select * from pg_temp.import_undo_tables order by place
  loop
    at := private.undo_match(t.key, t.name);
    execute format($q$
      insert into pg_temp.import_conflicts
      select %1$L, u.row_key, coalesce(%2$s, u.row_key::text), e.key, e.value, n.image -> e.key,
        case when t.%6$I is null then 'no longer exists' else 'changed' end
      from pg_temp.import_undo u
      left join %1$s t on %3$s
      cross join lateral (select %4$s as image) n
      cross join lateral jsonb_each(u.after) e
      where u.table_name = %1$L and u.operation = 'update' and e.key = any (%5$L::text[])
        and (t.%6$I is null or n.image -> e.key is distinct from e.value)
        -- A sale has begun or ended.
        and not (t.%6$I is not null and e.key = 'price_minor' and n.image ->> 'sale_price_minor' is not null
          and n.image -> e.key in (n.image -> 'sale_price_minor', n.image -> 'regular_price_minor'))
      $q$, t.name, label, at, private.import_object(t.columns, 't'), t.checked, t.key[1]);
    execute format($q$
      insert into pg_temp.import_conflicts
      select %1$L, u.row_key, %2$s, null, null, null, 'changed'
      from pg_temp.import_undo u join %1$s t on %3$s
      where u.table_name = %1$L and u.operation = 'insert' and u.fingerprint is distinct from %4$s
      $q$, t.name, label, at, private.import_fingerprint(t.checked, 't'));
    for unique_key in
      select array_agg(a.attname::text) as columns
      from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
      where i.indrelid = t.name::regclass and i.indisunique and i.indpred is null and i.indexprs is null
      group by i.indexrelid
    loop
      execute format($q$
        insert into pg_temp.import_conflicts
        select %1$L, u.row_key, %2$s, null, null, null, 'exists again'
        from pg_temp.import_undo u cross join lateral jsonb_populate_record(null::%1$s, u.before) r
        join %1$s t on %3$s
        where u.table_name = %1$L and u.operation = 'delete'
          and not exists (select from pg_temp.import_conflicts c where c.table_name = %1$L and c.row_key = u.row_key)
        $q$, t.name, label, private.import_match(unique_key.columns, 't', 'r'));
    end loop;
  end loop;
end
$$;
comment on function private.find_undo_conflicts() is
  'What was written since to the values that the run of private.prepare_undo() set.';

-- Rows that others need: of people, of administrators, of other imports. A product's own offers and prices do not count.
create or replace function private.undo_is_unneeded(p_table text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(string_agg(format(
    ' and not exists (select from %s x where x.%I = t.id)', c.conrelid::regclass, a.attname), ''), '')
  from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
  where c.contype = 'f' and c.conparentid = 0 and cardinality(c.conkey) = 1
    -- An offer has its listing's id: clicks that led to it keep it.
    and (c.confrelid = p_table::regclass
      or p_table = 'public.products' and c.confrelid = 'public.product_offers'::regclass)
    and c.conrelid <> 'public.product_features'::regclass  -- follows from products
    and not exists (
      select from private.import_tables() i
      where to_regclass(i.name) = c.conrelid and i.parent is not null and p_table = 'public.products')
$$;

create or replace function private.apply_undo() returns table (operation text, table_name text, rows bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
  t record;
  more bigint;
begin
  -- What people did moves first, and with it the offers.
  perform private.split_products(array(
    select (u.row_key ->> 'id')::uuid from pg_temp.import_undo u
    where u.table_name = 'public.products' and u.operation = 'update' and u.after ->> 'merged_into' is not null), 'gtin');
  for t in
    select (u.row_key ->> 'id')::uuid as id, o.product_id
    from pg_temp.import_undo u join public.product_offers o on o.id = (u.before ->> 'merged_into')::uuid
    where u.table_name = 'public.products' and u.operation = 'update' and u.after -> 'merged_into' = 'null'
    order by u.before ->> 'merged_at'
  loop
    perform private.merge_products(array[t.product_id], array[t.id], 'gtin');
  end loop;
  -- Offers and prices are restored, not derived; a category's kind of gift is no administrator's.
  perform set_config('aclue.import_undo', 'on', true), set_config('aclue.loads_reference', 'on', true);
  execute format($q$
    create temporary table import_gone on commit drop as
    select t.id from public.products t join pg_temp.import_undo u on %s
    where u.table_name = 'public.products' and u.operation = 'insert' %s
    $q$, private.undo_match('{id}', 'public.products'), private.undo_is_unneeded('public.products'));
  for t in
    select i.name, i.parent, private.undo_match(i.key, i.name) as match
    from pg_temp.import_undo_tables i where i.parent is not null order by i.place desc
  loop
    -- By cascade it would be one statement per product.
    execute format('delete from %s t using pg_temp.import_gone g where t.%I = g.id', t.name, t.parent);
    if t.parent <> 'id' then
      execute format($q$
        delete from %1$s t using pg_temp.import_undo u
        where u.table_name = %1$L and u.operation = 'insert' and %2$s
        $q$, t.name, t.match);
    end if;
  end loop;
  delete from public.products p using pg_temp.import_gone g where p.id = g.id;
  get diagnostics rows = row_count;
  operation := 'removed';
  table_name := 'public.products';
  return next;

  operation := 'restored';
  for t in
    select i.name, i.parent, private.undo_match(i.key, i.name) as match,
      (select string_agg(quote_ident(n), ', ') from unnest(i.columns) n) as columns,
      (select string_agg(quote_ident(n), ', ') from unnest(i.written) n where n <> all (i.key)) as written
    from pg_temp.import_undo_tables i order by i.place
  loop
    table_name := t.name;
    execute format($q$
      insert into %1$s (%2$s) overriding system value
      select %2$s from (
        select r.* from pg_temp.import_undo u cross join lateral jsonb_populate_record(null::%1$s, u.before) r
        where u.table_name = %1$L and u.operation = 'delete') gone
      $q$, t.name, t.columns);
    get diagnostics rows = row_count;
    execute format($q$
      update %1$s t set (%2$s) = (select %2$s from jsonb_populate_record(t, u.before))
      from pg_temp.import_undo u where u.table_name = %1$L and u.operation = 'update' and %3$s
      $q$, t.name, t.written, t.match);
    get diagnostics more = row_count;
    rows := rows + more;
    if t.name = 'public.products' then
      rows := (
        select count(distinct u.row_key) from pg_temp.import_undo u
        where u.table_name in ('public.products', 'public.product_offers') and u.operation in ('update', 'delete'));
    end if;
    if t.parent is null then
      return next;
    end if;
  end loop;

  operation := 'removed';
  for t in
    select i.name, private.undo_match(i.key, i.name) as match, private.undo_is_unneeded(i.name) as is_unneeded
    from pg_temp.import_undo_tables i
    where i.parent is null and i.name <> 'public.products' order by i.place desc
  loop
    table_name := t.name;
    rows := 0;
    loop  -- categories from the leaves up
      execute format($q$
        delete from %1$s t using pg_temp.import_undo u
        where u.table_name = %1$L and u.operation = 'insert' and %2$s %3$s
        $q$, t.name, t.match, t.is_unneeded);
      get diagnostics more = row_count;
      rows := rows + more;
      exit when more = 0;
    end loop;
    return next;
  end loop;
  perform set_config('aclue.import_undo', '', true), set_config('aclue.loads_reference', '', true);

  -- Products that people have swiped, saved or clicked since stay, off sale.
  update public.product_offers o set is_active = false
  from pg_temp.import_undo u
  where u.table_name = 'public.products' and u.operation = 'insert' and o.id = (u.row_key ->> 'id')::uuid and o.is_active;
  get diagnostics rows = row_count;
  -- Offers that an administrator has deactivated since stay so.
  update public.product_offers o set is_active = false
  from pg_temp.import_undo u
  where u.table_name = 'public.product_offers' and o.id = (u.row_key ->> 'id')::uuid and o.is_active
    and o.edited @> '{inactive}';
  perform private.lead_products(array(
    select o.product_id from pg_temp.import_undo u join public.product_offers o on o.id = (u.row_key ->> 'id')::uuid
    where u.table_name in ('public.products', 'public.product_offers')
    union
    select i.product_id::uuid from pg_temp.import_undo u
    cross join lateral unnest(array[u.before ->> 'product_id', u.after ->> 'product_id']) i (product_id)
    where u.table_name = 'public.product_offers' and i.product_id is not null));
  operation := 'kept';
  table_name := 'public.products';
  return next;
end
$$;
comment on function private.apply_undo() is
  'Takes back the changes of private.prepare_undo(); returns how many rows were removed, restored, or kept off sale.';

revoke all on function private.import_tables(), private.import_columns(regclass), private.recorded_columns(),
  private.import_object(text[], text), private.import_fingerprint(text[], text), private.import_match(text[], text, text),
  private.record_import(), private.interrupted_imports(), private.purge_import_changes(integer, integer),
  private.import_merged(jsonb[]), private.undo_match(text[], text), private.undo_is_unneeded(text),
  private.prepare_undo(uuid), private.find_undo_conflicts(), private.apply_undo()
  from public, anon, authenticated, service_role;
