-- Which sessions began in one network, so that signals of many sessions of one network count as few.
alter table public.user_sessions
  add column networks bytea[],
  add constraint user_sessions_networks_levels check (cardinality(networks) = 3) not valid;
comment on column public.user_sessions.networks is
  'Keyed hashes of the household, the site and the provider''s range that the session began in; the key changes every '
  '30 days. Null where the network was not known.';
