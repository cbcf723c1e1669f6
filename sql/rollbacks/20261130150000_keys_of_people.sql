-- Back to keys that do not name the person.
drop index private.one_time_tokens_token_hash_idx;
alter table private.one_time_tokens add constraint one_time_tokens_token_hash_key unique (token_hash);

drop index private.outbox_id_idx;
alter table private.outbox drop constraint outbox_pkey;
alter table private.outbox add constraint outbox_pkey primary key (id);
create index outbox_user_id_idx on private.outbox (user_id);
