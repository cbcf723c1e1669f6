-- What finance and administrators read of conversions beyond the row.

create or replace function private.person_of_click(p_click uuid) returns uuid
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  select c.user_id from public.affiliate_clicks c
  where c.id = p_click and (private.app_role() in ('finance', 'admin') or auth.role() = 'service_role')
$$;
comment on function private.person_of_click(uuid) is
  'Whose click it is, for finance and administrators: that disputed sales are one person''s, or their own gift link''s, is not '
  'to be seen otherwise. Null once the person is erased.';

create or replace view public.conversion_origins with (security_invoker = true) as
select c.id, k.click_id, private.person_of_click(k.click_id) as user_id, k.first_click_id, k.clicked_at, k.matched_by,
  k.commission_rule_id, k.commission_rate, k.commission_flat_minor, k.commission_cap_minor, k.currency, k.campaign,
  k.source_page, k.device_class, k.recommendation_context, k.model_version, k.arm, k.has_gift_link, k.product_id
from public.conversions c
join public.conversion_clicks k on k.affiliate_network = c.affiliate_network and k.reference = c.reference;
comment on view public.conversion_origins is 'The click of each conversion, and what the conversion keeps of it.';
revoke all on table public.conversion_origins from public, anon, authenticated, service_role;
grant select on table public.conversion_origins to authenticated, service_role;

create or replace view public.settled_payments with (security_invoker = true) as
select s.payment_id, s.due_minor, p.amount_minor - s.due_minor as difference_minor, p.currency, s.conversions, s.meets,
  s.is_accepted, s.updated_at
from public.settlements s join public.payments p on p.id = s.payment_id;
comment on view public.settled_payments is 'What each payment should have been, in its currency.';
revoke all on table public.settled_payments from public, anon, authenticated, service_role;
grant select on table public.settled_payments to authenticated, service_role;

revoke all on function private.person_of_click(uuid) from public, anon, authenticated;
grant execute on function private.person_of_click(uuid) to authenticated, service_role;
