-- Who follows a link is not known to its maker: in place of the user agent stand a keyed hash and a coarse class.
alter table public.affiliate_redirects
  add column visitor_hash bytea,
  add column device_class text,
  add constraint affiliate_redirects_visitor_hash_length check (octet_length(visitor_hash) = 16) not valid,
  add constraint affiliate_redirects_device_class
    check (device_class in ('mobile', 'tablet', 'desktop', 'bot', 'other')) not valid;
comment on column public.affiliate_redirects.visitor_hash is
  'Keyed hash of network and user agent: tells repeated hits of one visitor from those of many. The key changes every '
  '30 days.';

-- The code of the release before this one calls it; from here on it stores nothing of the agent.
create or replace function private.follow_affiliate_click(p_click uuid, p_user_agent text)
returns table (affiliate_url text, click_parameter text)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with click as (select * from public.affiliate_clicks where id = p_click),
  hit as (insert into public.affiliate_redirects (user_id, click_id) select user_id, id from click)
  select affiliate_url, click_parameter from click
$$;
