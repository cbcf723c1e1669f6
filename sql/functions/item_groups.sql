-- Which products are variants of one: docs/recommendations.md. The key is a hash: it is kept by row, without
-- looking for other variants, and narrow enough for every row of a model to hold it.

-- The name without what tells variants apart: amounts, sizes and colours of private.variant_words. What is set off or at
-- the end is dropped; elsewhere it leaves a gap, so that "Red Dead Redemption" is no "Dead Redemption". Letters (S, M, L)
-- are sizes in capitals and at the end or set off only. A name of nothing else stays whole.
create or replace function private.variant_name(p_name text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  letters constant text := '(?:[2-6]?X{1,3}[SL]|[SML])';
  amount constant text := '\d+(?:[.,]\d+)?';
  n text := btrim(regexp_replace(p_name, '\s+', ' ', 'g'));
  whole constant text := lower(n);
  words text;
  shades text;
  scales text;
  units text;
  counts text;
  differing text[];
  phrase text;
begin
  -- A kind of which there are no words matches a gap, which no name has at first.
  select
    coalesce(string_agg(
      -- German adjectives have endings.
      '(?:' || w.alternatives || ')' || case when w.kind = 'colour' and w.language = 'de' then '(?:e[mnrs]?)?' else '' end,
      '|') filter (where w.kind in ('colour', 'size')), '\{\}'),
    coalesce(string_agg(w.alternatives, '|') filter (where w.kind = 'shade'), '\{\}'),
    coalesce(string_agg(w.alternatives, '|') filter (where w.kind = 'scale'), '\{\}'),
    coalesce(string_agg(w.alternatives, '|') filter (where w.kind = 'unit'), '\{\}'),
    coalesce(string_agg(w.alternatives, '|') filter (where w.kind = 'count'), '\{\}'),
    coalesce(string_to_array(string_agg(w.alternatives, '|') filter (where w.kind = 'different'), '|'), '{}')
  into words, shades, scales, units, counts, differing
  from (select v.kind, v.language, array_to_string(v.words, '|') as alternatives from private.variant_words v) w;
  -- Few patterns, and those that are rarely needed not at all: this runs for every product of an import.
  n := ' ' || n || ' ';
  if n ~ '\d' then
    -- Grams in lower case only: a 5G phone is no amount.
    n := regexp_replace(n, '\m(?:' || amount || '\s?(?:g\M|["″”]|''''))', '{}', 'g');
    n := regexp_replace(
      n, '\m' || amount || '(?:\s?[x×]\s?' || amount || '){0,2}[\s-]?(?:' || units || ')\M', '{}', 'gi');
    n := regexp_replace(n, '\m\d{2,4}\s?[x×]\s?\d{2,4}\M', '{}', 'gi');
    n := regexp_replace(n, '\m(?:(?:' || counts || ')\s(?:of|von|à)\s\d+|\d+[\s-]?(?:er|x)?[\s-]?(?:' || counts || '))\M',
      '{}', 'gi');
  end if;
  foreach phrase in array differing loop
    if strpos(whole, phrase) > 0 then
      n := regexp_replace(n, '\m' || replace(phrase, ' ', '\M \m') || '\M', replace(phrase, ' ', '_'), 'gi');
    end if;
  end loop;
  n := regexp_replace(n, '\m(?:(?:' || scales || ')\.?:?\s?(?:\d{1,2}(?:[.,]5)?|' || letters || ')|(?:(?:' || shades
    || ')[\s-]?)?(?:' || words || '))\M', '{}', 'gi');
  n := regexp_replace(n, '\s*[,;|/()\[\]]\s*|\s[-–—]+\s', ' , ', 'g');
  n := lower(regexp_replace(n, '(?<=\s)' || letters || '(?=\s(?:,|\{|$))|(?<=,\s+)(?:' || letters
    || '(?=\s)|(?:3[6-9]|4\d|50)(?:[.,]5)?(?=\s+(?:,|$)))', '{}', 'g'));
  if strpos(n, '{}') > 0 then
    -- Several in a row are one; set off or at the end they are none.
    n := regexp_replace(n, '\{\}(?:[\s-]*(?:,|&|\+|and|und|with|mit)?[\s-]*\{\})+', '{}', 'g');
    n := regexp_replace(n, '(?:\s*,\s*\{\})+(?=\s*(?:,|$))', ' ', 'g');
    n := regexp_replace(n, '[\s,-]*\{\}[\s,]*$', ' ');
  end if;
  n := btrim(regexp_replace(replace(n, '_', ' '), '[\s,]+', ' ', 'g'));
  return case when replace(n, '{}', '') ~ '[[:alpha:]]' then n else whole end;
end
$$;
comment on function private.variant_name(text) is
  'A product''s name without sizes and colours: equal for variants of one product, if the brand is, too.';

-- In plpgsql, whose expressions need no executor of their own.
create or replace function private.item_group_key(
  p_id uuid, p_retailer uuid, p_item_group text, p_brand uuid, p_name text) returns bigint
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return hashtextextended(
    case
      when p_item_group is not null then 'group ' || p_retailer || ' ' || p_item_group
      when p_brand is not null then 'name ' || p_brand || ' ' || private.variant_name(p_name)
      else 'product ' || p_id
    end, 0);
end
$$;
comment on function private.item_group_key(uuid, uuid, text, uuid, text) is
  'By the shop''s item_group; without one by brand and name; without a brand the product is alone.';

create or replace function private.set_item_group_key() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  new.item_group_key := private.item_group_key(new.id, new.retailer_id, new.item_group, new.brand_id, new.name);
  return new;
end
$$;
create or replace trigger products_item_group_inserted before insert on public.products
  for each row execute function private.set_item_group_key();
create or replace trigger products_item_group_updated before update on public.products
  for each row when (
    (new.name, new.brand_id, new.retailer_id, new.item_group, new.item_group_key)
    is distinct from (old.name, old.brand_id, old.retailer_id, old.item_group, old.item_group_key))
  execute function private.set_item_group_key();

create or replace function private.refresh_item_groups() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.products p set item_group_key = n.key
  from (
    select k.id, private.item_group_key(k.id, k.retailer_id, k.item_group, k.brand_id, k.name) as key
    from public.products k) n
  where n.id = p.id and p.item_group_key is distinct from n.key;
  return null;
end
$$;
comment on function private.refresh_item_groups() is 'Recomputes all keys, since words have changed.';
create or replace trigger variant_words_edited before insert or update on private.variant_words
  for each row execute function private.mark_edited();
create or replace trigger variant_words_changed after insert or update or delete on private.variant_words
  for each statement execute function private.refresh_item_groups();

revoke all on function private.variant_name(text), private.item_group_key(uuid, uuid, text, uuid, text),
  private.set_item_group_key(), private.refresh_item_groups() from public, anon, authenticated;

-- Products of before the triggers.
update public.products p
set item_group_key = private.item_group_key(p.id, p.retailer_id, p.item_group, p.brand_id, p.name)
where item_group_key is null;
