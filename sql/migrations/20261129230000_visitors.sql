-- Visits are told apart by network and class of device, no longer by the user agent.
comment on column public.affiliate_redirects.visitor_hash is
  'Keyed hash of network and class of device: tells repeated hits of one visitor. The key changes every 30 days.';
