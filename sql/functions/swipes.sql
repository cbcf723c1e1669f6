-- Whom a swipe or feedback is about: the person, or somebody they look for a gift for. People cannot say so themselves,
-- because the recommendation knows; it was stored by the server from its signed id.

create or replace function private.note_for_whom() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  new.is_for_somebody_else := exists (
    select from public.recommendations r
    where r.user_id = new.user_id and r.id = new.recommendation_id and r.recommendation_context = 'gift_finder');
  return new;
end
$$;
comment on function private.note_for_whom() is
  'Sets is_for_somebody_else: whether the row answers a recommendation of the gift finder.';
revoke all on function private.note_for_whom() from public, anon, authenticated;

create or replace trigger swipes_for_whom before insert on public.swipes
  for each row when (new.recommendation_id is not null) execute function private.note_for_whom();
create or replace trigger recommendation_feedback_for_whom before insert on public.recommendation_feedback
  for each row execute function private.note_for_whom();

create or replace function private.hold_swipe(p_swipe uuid) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from public.profiles p where p.id = auth.uid() for key share;
  perform from public.products p
  where p.id = (select s.product_id from public.swipes s where s.user_id = auth.uid() and s.id = p_swipe) for key share;
end
$$;
comment on function private.hold_swipe(uuid) is
  'Before the caller''s swipe is changed: holds what its signal will refer to, in the order in which merges of sessions '
  'and of products lock, which then change the swipe. Otherwise they and the caller would wait for each other.';
revoke all on function private.hold_swipe(uuid) from public;
grant execute on function private.hold_swipe(uuid) to anon, authenticated, service_role;
