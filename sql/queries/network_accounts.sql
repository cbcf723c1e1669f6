-- Our accounts at networks: written as the owner, read as service_role.

-- name: put(affiliate_network, name, publisher_id, base_url, secrets, options, mapping, every_seconds)
insert into public.network_accounts as a
  (affiliate_network, name, publisher_id, base_url, secrets, options, mapping, every_seconds)
values (:affiliate_network, :name, :publisher_id, :base_url, :secrets::jsonb, :options::jsonb, :mapping::jsonb,
  :every_seconds::int)
on conflict on constraint network_accounts_pkey do update set publisher_id = excluded.publisher_id,
  base_url = excluded.base_url, secrets = excluded.secrets, options = excluded.options, mapping = excluded.mapping,
  every_seconds = excluded.every_seconds

-- name: forget_watermarks(affiliate_network, name, publisher_id)
-- If another publisher is pulled under this name: nothing of it has been read.
delete from public.network_watermarks w using public.network_accounts a
where w.affiliate_network = :affiliate_network and w.account_name = :name
  and a.affiliate_network = w.affiliate_network and a.name = w.account_name and a.publisher_id <> :publisher_id

-- name: remove(affiliate_network, name)
-- The conversions and the record of pulls stay.
delete from public.network_accounts where affiliate_network = :affiliate_network and name = :name returning name

-- name: find(affiliate_network, name)
-- Of a network (null: all), of this name (null: all).
select affiliate_network, name, publisher_id, base_url, secrets::text as secrets, options::text as options,
  mapping::text as mapping, every_seconds
from public.network_accounts
where (:affiliate_network::text is null or affiliate_network = :affiliate_network)
  and (:name::text is null or name = :name)
order by affiliate_network, name
