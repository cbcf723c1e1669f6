-- Emptied first: dropping a column alone leaves its values in the table's pages. No code names the column any more.
update public.affiliate_redirects set user_agent = null where user_agent is not null;
-- squawk-ignore ban-drop-column
alter table public.affiliate_redirects drop column user_agent;

alter table public.affiliate_redirects validate constraint affiliate_redirects_visitor_hash_length;
alter table public.affiliate_redirects validate constraint affiliate_redirects_device_class;
alter table public.user_sessions validate constraint user_sessions_networks_levels;
