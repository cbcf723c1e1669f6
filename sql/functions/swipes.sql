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
