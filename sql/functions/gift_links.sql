-- A use of a gift link is a click, counted under a lock on the link, so that concurrent uses cannot exceed its limit.

drop function if exists private.use_gift_link(uuid, uuid, uuid, uuid, uuid, text, text);
create or replace function private.use_gift_link(
  p_link uuid, p_user uuid, p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text,
  p_campaign text, p_device_class text default null, out click_id uuid, out refusal text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  link public.gift_links;
begin
  select * into link from public.gift_links where id = p_link for no key update;
  refusal := case
    when link.id is null then 'unknown'
    when p_product is not null
      and link.product_id is distinct from (select o.product_id from public.product_offers o where o.id = p_product)
      then 'another product'
    when link.revoked_at is not null or link.expires_at <= pg_catalog.now() then 'expired'
    when link.clicks >= link.max_uses then 'used up'
  end;
  if refusal is not null then
    return;
  end if;
  click_id := private.insert_affiliate_click(
    coalesce(p_user, link.user_id), link.product_id, p_session, p_recommendation, p_source_page, p_campaign,
    link.user_id, link.id, p_device_class => p_device_class);
  if click_id is null then
    refusal := 'not on offer';
    return;
  end if;
  update public.gift_links set clicks = clicks + 1 where user_id = link.user_id and id = link.id;
end
$$;
comment on function private.use_gift_link(uuid, uuid, uuid, uuid, uuid, text, text, text) is
  'Creates a click of p_user (null: the link''s maker) through the link, or returns the reason for refusing it. '
  'p_product null: any product.';

drop function if exists private.create_gift_link_click(uuid, uuid, uuid, uuid, text, text);
create or replace function private.create_gift_link_click(
  p_link uuid, p_product uuid, p_session uuid, p_recommendation uuid, p_source_page text, p_campaign text,
  p_device_class text default null, out click_id uuid, out refusal text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.uid() is null then  -- would be a click in the name of the link's maker
    raise insufficient_privilege using message = 'a click needs a person';
  end if;
  select u.click_id, u.refusal into click_id, refusal from private.use_gift_link(
    p_link, auth.uid(), p_product, p_session, p_recommendation, p_source_page, p_campaign,
    p_device_class) u;
end
$$;
comment on function private.create_gift_link_click(uuid, uuid, uuid, uuid, text, text, text) is
  'Creates a click of the caller through a gift link of this product, or returns the reason for refusing it.';

revoke all on function private.use_gift_link(uuid, uuid, uuid, uuid, uuid, text, text, text),
  private.create_gift_link_click(uuid, uuid, uuid, uuid, text, text, text) from public, anon, authenticated;
grant execute on function private.create_gift_link_click(uuid, uuid, uuid, uuid, text, text, text)
  to anon, authenticated, service_role;
grant execute on function private.use_gift_link(uuid, uuid, uuid, uuid, uuid, text, text, text) to service_role;
