-- Feedback of all people, for analysts, who may not read the rows: without the person.

create or replace function private.everybodys_feedback(
  p_kind text, p_reason text, p_product uuid, p_before uuid, p_size integer)
returns table (
  id uuid, product_id uuid, kind text, reason text, rating smallint, comment text, context text, model_version integer,
  created_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not coalesce(private.app_role() in ('analyst', 'admin') or auth.role() = 'service_role', false) then
    raise insufficient_privilege using message = 'only analysts may read feedback';
  end if;
  return query
    select f.id, f.product_id, f.feedback_type, f.reason, f.rating, f.comment, r.recommendation_context, r.model_version,
      f.created_at
    from public.recommendation_feedback f
    join public.recommendations r on r.user_id = f.user_id and r.id = f.recommendation_id
    where (p_before is null or f.id < p_before) and (p_product is null
        or f.product_id = (select o.product_id from public.product_offers o where o.id = p_product))
      and (p_kind is null or f.feedback_type = p_kind) and (p_reason is null or f.reason = p_reason)
    order by f.id desc limit least(p_size, 101);
end
$$;
comment on function private.everybodys_feedback(text, text, uuid, uuid, integer) is
  'The newest feedback before this id, at most 101; null means any. The product may be given by an id that was merged.';

revoke all on function private.everybodys_feedback(text, text, uuid, uuid, integer) from public, anon, authenticated;
grant execute on function private.everybodys_feedback(text, text, uuid, uuid, integer) to authenticated, service_role;
