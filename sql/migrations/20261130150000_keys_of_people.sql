-- Keys of people's tables name the person, so that the tables can be distributed by person. Hashes of tokens (256 random
-- bits) and UUIDs are unique by themselves.
-- squawk-ignore ban-drop-constraint
alter table private.one_time_tokens drop constraint one_time_tokens_token_hash_key;
-- Both tables hold the mails of a month at most.
-- squawk-ignore require-concurrent-index-creation
create index one_time_tokens_token_hash_idx on private.one_time_tokens (token_hash);

-- squawk-ignore require-concurrent-index-deletion
drop index private.outbox_user_id_idx;
-- squawk-ignore ban-drop-constraint
alter table private.outbox drop constraint outbox_pkey;
-- squawk-ignore constraint-missing-not-valid, adding-serial-primary-key-field
alter table private.outbox add constraint outbox_pkey primary key (user_id, id);
-- squawk-ignore require-concurrent-index-creation
create index outbox_id_idx on private.outbox (id);
