-- A sale is held while one of its flags is.

create or replace function private.hold_conversions() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update public.conversions v set is_held = h.is_held
  from (
    select c.conversion_id, bool_or(f.is_held) as is_held
    from (select distinct conversion_id from changed) c
    join public.conversion_flags f on f.conversion_id = c.conversion_id
    group by c.conversion_id
  ) h
  where v.id = h.conversion_id and v.is_held <> h.is_held;
  return null;
end
$$;
comment on function private.hold_conversions() is 'Notes of sales whether one of their flags holds them.';

create or replace trigger conversion_flags_added after insert on public.conversion_flags
  referencing new table as changed for each statement execute function private.hold_conversions();
create or replace trigger conversion_flags_changed after update on public.conversion_flags
  referencing new table as changed for each statement execute function private.hold_conversions();

-- A hold changes nothing that the person may notice, such as when their sale last changed.
create or replace trigger conversions_updated_at before update on public.conversions
  for each row when (old.is_held = new.is_held) execute function public.update_updated_at_column();

revoke all on function private.hold_conversions() from public, anon, authenticated;
