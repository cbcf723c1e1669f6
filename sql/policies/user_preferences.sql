-- One's own preferences: they follow from one's signals.
alter table public.user_preferences enable row level security;
revoke all on table public.user_preferences from public, anon, authenticated, service_role;

grant select on table public.user_preferences to anon, authenticated;
drop policy if exists user_preferences_own_read on public.user_preferences;
create policy user_preferences_own_read on public.user_preferences for select to anon, authenticated
  using (user_id = (select auth.uid()));

grant insert (category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence)
  on table public.user_preferences to anon, authenticated;
drop policy if exists user_preferences_own_insert on public.user_preferences;
create policy user_preferences_own_insert on public.user_preferences for insert to anon, authenticated
  with check (user_id = (select auth.uid()));

grant update (category_preferences, brand_preferences, style_preferences, min_price_minor, max_price_minor, price_currency,
  total_swipes, right_swipes, confidence)
  on table public.user_preferences to anon, authenticated;
drop policy if exists user_preferences_own_update on public.user_preferences;
create policy user_preferences_own_update on public.user_preferences for update to anon, authenticated
  using (user_id = (select auth.uid()))
  with check (user_id = (select auth.uid()));

grant select, insert, update, delete on table public.user_preferences to service_role;
drop policy if exists user_preferences_service on public.user_preferences;
create policy user_preferences_service on public.user_preferences for all to service_role
  using (true)
  with check (true);
