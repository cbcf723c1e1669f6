-- Which hosts links may lead to, and where a network reads our click id in them. The rows that are shipped are loaded
-- from catalogue/reference.

alter table public.affiliate_networks
  add column tracking_hosts text[] not null default '{}'
    constraint affiliate_networks_tracking_hosts_count check (cardinality(tracking_hosts) <= 200),
  add column source text not null default 'admin'
    constraint affiliate_networks_source check (source in ('reference', 'admin'));
-- What an operator added stays the operator's.
update public.affiliate_networks set source = 'reference' where code in (
  'amazon', 'awin', 'cj', 'direct', 'ebay', 'impact', 'partnerize', 'rakuten', 'shareasale', 'skimlinks', 'webgains');
comment on column public.affiliate_networks.tracking_hosts is
  'Hosts of the network''s links, with their subdomains, in the ASCII spelling.';

create table public.network_link_rules (
  network text not null constraint network_link_rules_network_fkey
    references public.affiliate_networks (code) on delete cascade,
  position smallint not null,
  host text not null default '*',
  path text not null default '*',
  place text not null,
  parameter text not null,
  destination text[] not null default '{}',
  carries text not null default 'click',
  removes text[] not null default '{}',
  max_length smallint not null,
  characters text not null,
  source text not null default 'admin',
  constraint network_link_rules_pkey primary key (network, position),
  constraint network_link_rules_position_range check (position between 1 and 100),
  constraint network_link_rules_host_format check (host ~ '^(\*|shop|[a-z0-9._-]{1,253})$'),
  constraint network_link_rules_path_length check (char_length(path) between 1 and 200),
  constraint network_link_rules_place check (place in ('query', 'before', 'fields', 'part', 'segments', 'pairs')),
  constraint network_link_rules_parameter_format check (parameter ~ '^[A-Za-z0-9_.-]{1,64}$'),
  constraint network_link_rules_lists_count check (cardinality(destination) <= 10 and cardinality(removes) <= 10),
  constraint network_link_rules_carries check (carries in ('click', 'placement')),
  constraint network_link_rules_max_length_range check (max_length between 1 and 2000),
  constraint network_link_rules_characters_format check (characters ~ '^[A-Za-z0-9_.~-]{1,64}$'),
  constraint network_link_rules_carries_clicks check (
    carries <> 'click' or (max_length >= 26 and 'abcdefghijklmnopqrstuvwxyz234567' ~ ('^[' || characters || ']+$'))),
  constraint network_link_rules_source check (source in ('reference', 'admin'))
);
comment on table public.network_link_rules is
  'Where links of a network carry our click id, or the tracking id of a placement. The first rule that fits a link counts.';
comment on column public.network_link_rules.host is
  '*: any tracking host of the network or of the shop; shop: the shop''s own hosts; else this domain with its subdomains.';
comment on column public.network_link_rules.path is 'A * is any text.';
comment on column public.network_link_rules.destination is 'Names, in lower case, of what says where the link leads.';
comment on column public.network_link_rules.removes is 'Names, in lower case, that the query of a link must not have.';
comment on column public.network_link_rules.characters is 'As between the brackets of a regular expression.';
comment on constraint network_link_rules_carries_clicks on public.network_link_rules is
  'A click id has 26 letters and digits. A network that cannot carry it would cut it, and its sales would be nobody''s.';
-- The previous release reads click_parameter, of networks and clicks. `ref` is a shop's own more often than ours.
update public.affiliate_networks set click_parameter = null where code = 'direct' and click_parameter = 'ref';
comment on column public.affiliate_networks.click_parameter is 'Of the previous release: network_link_rules say it now.';
comment on column public.affiliate_clicks.click_parameter is 'Of the previous release: network_link_rules say it now.';
insert into public.network_link_rules (network, position, place, parameter, max_length, characters)
select code, 1, 'query', click_parameter, 255, 'A-Za-z0-9_-' from public.affiliate_networks
where source = 'admin' and click_parameter is not null;
alter table public.network_link_rules enable row level security;

alter table public.retailers
  add column click_parameter text
    constraint retailers_click_parameter_format check (click_parameter ~ '^[A-Za-z0-9_.-]{1,64}$'),
  add column tracking_hosts text[] not null default '{}'
    constraint retailers_tracking_hosts_count check (cardinality(tracking_hosts) <= 50);
comment on column public.retailers.click_parameter is
  'The shop''s own query parameter for our click id, in links on its own hosts; null: none.';
comment on column public.retailers.tracking_hosts is
  'Hosts of a network that serve this shop alone, with their subdomains, in the ASCII spelling.';

create table public.placements (
  retailer_id uuid not null constraint placements_retailer_id_fkey
    references public.retailers (id) on delete cascade,
  network text not null constraint placements_network_fkey
    references public.affiliate_networks (code) on delete restrict,
  tracking_id text not null,
  name text not null,
  is_current boolean not null default true,
  created_at timestamptz not null default now(),
  constraint placements_pkey primary key (retailer_id, network, tracking_id),
  constraint placements_name_format check (name ~ '^[^\s/?#]([^?#]{0,98}[^\s/?#])?$' and name = lower(name)),
  constraint placements_tracking_id_format check (tracking_id ~ '^[A-Za-z0-9-]{1,64}$')
);
comment on table public.placements is
  'The tracking ids of networks that forbid ids of visitors (Amazon''s tag): one for each place where links are shown, so that a '
  'sale resolves to a place and never to a click.';
comment on column public.placements.name is
  'The sourcePage of clicks, or its beginning, in lower case without slashes at the ends; default: all others.';
comment on column public.placements.is_current is 'Links carry it; ids of the past stay, because sales are reported later.';
create unique index placements_current_key on public.placements (retailer_id, network, name) where is_current;
create index placements_tracking_id_idx on public.placements (network, tracking_id);
alter table public.placements enable row level security;
