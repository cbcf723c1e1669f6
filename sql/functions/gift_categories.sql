-- Which gift category a shop's category means: catalogue/reference/README.md explains the rules.

-- A row that anybody but the loader of the reference data writes is an administrator's: later loads keep it.
create or replace function private.mark_edited() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(pg_catalog.current_setting('aclue.loads_reference', true), '') <> 'on' then
    new.source := 'admin';
  end if;
  return new;
end
$$;

create or replace trigger gift_categories_edited before insert or update on public.gift_categories
  for each row execute function private.mark_edited();
create or replace trigger category_rules_edited before insert or update on private.category_rules
  for each row execute function private.mark_edited();
create or replace trigger personality_gift_mappings_edited before insert or update on public.personality_gift_mappings
  for each row execute function private.mark_edited();
create or replace trigger personality_tag_mappings_edited before insert or update on public.personality_tag_mappings
  for each row execute function private.mark_edited();
create or replace trigger gift_context_rules_edited before insert or update on public.gift_context_rules
  for each row execute function private.mark_edited();
create or replace trigger gift_context_categories_edited before insert or update on public.gift_context_categories
  for each row execute function private.mark_edited();

-- Null again: the rules may choose.
create or replace function private.mark_category_edited() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if coalesce(pg_catalog.current_setting('aclue.loads_reference', true), '') <> 'on' then
    new.taxonomy_source := case when new.taxonomy_id is not null then 'admin' end;
  end if;
  return new;
end
$$;

create or replace trigger categories_edited before insert or update of taxonomy_id, taxonomy_source on public.categories
  for each row execute function private.mark_category_edited();

-- A path is the levels of a category in kebab-case, root first: 'sporting-goods>camping-hiking>tents'. Each distinct level is
-- compared with the rules once: a feed may have thousands of categories.
drop function if exists private.match_gift_categories(text[], text[], text[]);
create or replace function private.match_gift_categories(
  p_paths text[], p_likes text[] default '{}', p_slugs text[] default '{}')
returns table (path text, taxonomy_id uuid, is_given boolean, is_vague boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with levels as materialized (
    select p.path, l.key, l.depth
    from (select distinct path from pg_catalog.unnest(p_paths) path) p
    cross join lateral pg_catalog.unnest(pg_catalog.string_to_array(p.path, '>')) with ordinality l (key, depth)
  ),
  rules as materialized (
    select u.like_pattern, g.id as taxonomy_id, 9 as priority
    from unnest(p_likes, p_slugs) u (like_pattern, slug) join public.gift_categories g on g.slug = u.slug
    union all
    select r.like_pattern, r.taxonomy_id, r.priority from private.category_rules r
  ),
  hits as materialized (
    select distinct on (h.key) h.key, h.taxonomy_id, h.priority
    from (
      select k.key, r.taxonomy_id, r.priority, length(r.like_pattern) as length
      from (select distinct key from levels) k join rules r on '-' || k.key || '-' like r.like_pattern
      union all
      -- The slug of a gift category means it, unless it is one that others stand under: those say little.
      select k.key, g.id, case when exists (select from public.gift_categories b where b.parent_id = g.id) then 1 else 2 end, 1000
      from (select distinct key from levels) k join public.gift_categories g on g.slug = k.key
    ) h
    order by h.key, h.priority desc, h.length desc, h.taxonomy_id
  )
  select distinct on (l.path) l.path, h.taxonomy_id, h.priority = 9, h.priority = 1
  from levels l join hits h on h.key = l.key
  order by l.path, h.priority desc, l.depth desc
$$;
comment on function private.match_gift_categories(text[], text[], text[]) is
  'The gift category of each path that rules, or these patterns before them, know: the highest priority, then the deepest '
  'level, then the longest pattern. is_given: by a pattern; is_vague: only by words that say little, such as gifts.';

create or replace function private.category_paths(p_ids uuid[]) returns table (category_id uuid, path text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with recursive levels (category_id, slug, parent_id, depth) as (
    select id, slug, parent_id, 0 from public.categories where id = any (p_ids)
    union all
    select l.category_id, c.slug, c.parent_id, l.depth + 1
    from levels l join public.categories c on c.id = l.parent_id where l.depth < 20
  )
  -- Imported slugs begin with those of their parents.
  select l.category_id, pg_catalog.string_agg(
    case when pg_catalog.starts_with(l.slug, p.slug || '-') then substr(l.slug, length(p.slug) + 2) else l.slug end,
    '>' order by l.depth desc)
  from levels l left join public.categories p on p.id = l.parent_id
  group by l.category_id
$$;
comment on function private.category_paths(uuid[]) is 'The levels of categories, for private.match_gift_categories().';

-- What an administrator chose stays; what a feed's mapping chose, until a mapping chooses again: shops share categories,
-- which would change with every import. What Google numbers chose gives way to a rule.
create or replace function private.map_categories(
  p_ids uuid[], p_likes text[] default '{}', p_slugs text[] default '{}') returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  changed integer;
  before constant text := coalesce(pg_catalog.current_setting('aclue.loads_reference', true), '');
begin
  perform pg_catalog.set_config('aclue.loads_reference', 'on', true);
  with chosen as (
    select c.id, m.taxonomy_id, case when m.is_given then 'feed' when m.taxonomy_id is not null then 'rule' end as source
    from private.category_paths(p_ids) p
    join public.categories c on c.id = p.category_id
    left join private.match_gift_categories(
      array(select path from private.category_paths(p_ids)), p_likes, p_slugs) m on m.path = p.path
    where c.taxonomy_source is distinct from 'admin'
      -- A gift category that was removed leaves none: what chose it has no say any more.
      and (c.taxonomy_id is null
        or (c.taxonomy_source is distinct from 'google' or m.taxonomy_id is not null and not m.is_vague)
        and (c.taxonomy_source is distinct from 'feed' or m.is_given))
  )
  update public.categories c set taxonomy_id = n.taxonomy_id, taxonomy_source = n.source
  from chosen n
  where n.id = c.id and (c.taxonomy_id, c.taxonomy_source) is distinct from (n.taxonomy_id, n.source);
  get diagnostics changed = row_count;
  perform pg_catalog.set_config('aclue.loads_reference', before, true);
  return changed;
end
$$;
comment on function private.map_categories(uuid[], text[], text[]) is
  'Chooses the gift categories of these categories by patterns of a feed, then by rules; returns how many changed.';

create or replace function private.map_new_categories() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform private.map_categories(array(select id from added where taxonomy_id is null));
  return null;
end
$$;

create or replace trigger categories_mapped after insert on public.categories
  referencing new table as added
  for each statement execute function private.map_new_categories();

revoke all on function private.mark_edited(), private.mark_category_edited(),
  private.match_gift_categories(text[], text[], text[]), private.category_paths(uuid[]),
  private.map_categories(uuid[], text[], text[]), private.map_new_categories() from public;
