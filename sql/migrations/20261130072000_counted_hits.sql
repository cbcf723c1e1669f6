-- What a hit of a link counts as, and where it led; what a click and its conversion keep of device, offer and window.
alter table public.affiliate_redirects
  add column is_counted boolean not null default true,
  add column uncounted_reason text,
  add column visited_hour timestamptz,
  add column led_to_click_id uuid,
  add constraint affiliate_redirects_uncounted_reason
    check (uncounted_reason in ('head', 'prefetch', 'bot', 'script')) not valid,
  add constraint affiliate_redirects_counted check (is_counted = (uncounted_reason is null)) not valid;
comment on column public.affiliate_redirects.is_counted is 'Whether a person followed the link.';
comment on column public.affiliate_redirects.uncounted_reason is
  'Who did instead: a HEAD request, a browser that fetched the page ahead, a bot or link preview, a script; null: a person.';
comment on column public.affiliate_redirects.visited_hour is
  'The hour (UTC) of the hit; with it, a visitor has one hit of a link. Null: recorded by an earlier release.';
comment on column public.affiliate_redirects.visitor_hash is
  'Keyed hash of network and class of device, with a key per day (UTC): tells repeated hits of one visitor. Null where there '
  'is nothing to know: uncounted hits, Sec-GPC, no consent to analytics. These are one visitor.';
comment on column public.affiliate_redirects.led_to_click_id is
  'The click to another offer of the product that the hit led to, because the clicked one was gone or sold out. No foreign '
  'key: both clicks are of one person and go together.';

alter table public.affiliate_clicks
  add column device_class text,
  add column substitute_of uuid,
  add constraint affiliate_clicks_device_class
    check (device_class in ('mobile', 'tablet', 'desktop', 'bot', 'other')) not valid;
comment on column public.affiliate_clicks.device_class is
  'Of the request that made the click; null with Sec-GPC and without consent to analytics.';
comment on column public.affiliate_clicks.substitute_of is
  'The click whose link led to this offer, as its own was gone or sold out. No foreign key: both go with their person.';

alter table public.affiliate_networks
  add column click_window_hours integer not null default 720,
  add constraint affiliate_networks_click_window_range check (click_window_hours between 1 and 8784) not valid;
comment on column public.affiliate_networks.click_window_hours is
  'How long after a click shops of the network pay for an order, where a shop has no window of its own.';
-- 24 hours until the product is in the cart, and 90 days from there to the order. We see no carts.
update public.affiliate_networks set click_window_hours = 2184 where code = 'amazon';

-- Nobody could set it: all rows have the default, which is now that of the network.
alter table public.retailers
  -- squawk-ignore ban-drop-default
  alter column click_window_hours drop default,
  -- squawk-ignore ban-drop-not-null
  alter column click_window_hours drop not null;
update public.retailers set click_window_hours = null;
comment on column public.retailers.click_window_hours is
  'How long after a click the shop pays for an order; null: as its network. Read by private.click_window_hours().';

alter table public.conversion_clicks
  add column offer_id uuid,
  add column click_window_hours integer,
  add column followed_at timestamptz,
  add column first_clicked_at timestamptz,
  add column first_campaign text,
  add column first_source_page text,
  add column first_device_class text;
comment on column public.conversion_clicks.offer_id is 'The offer that was clicked. No foreign key: offers go, sales stay.';
comment on column public.conversion_clicks.device_class is 'Of the request that made the click, else of the first hit.';
comment on column public.conversion_clicks.click_window_hours is 'The shop''s window when the click was matched.';
comment on column public.conversion_clicks.followed_at is 'When the click was made or last followed before the order.';

alter table public.conversions add column is_outside_window boolean not null default false;
comment on column public.conversions.is_outside_window is
  'The network pays for an order that came after the shop''s window had passed since the click was last followed.';
