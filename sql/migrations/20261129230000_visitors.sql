comment on column public.affiliate_redirects.visitor_hash is
  'Keyed hash of network and class of device: tells repeated hits of one visitor. The key changes every 30 days.';
