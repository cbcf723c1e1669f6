-- Only functions with their owner's rights access these tables: there are no grants, and a policy that denies access.
alter table private.search_words enable row level security;
revoke all on table private.search_words from public, anon, authenticated, service_role;
drop policy if exists nobody on private.search_words;
create policy nobody on private.search_words for all to service_role using (false) with check (false);

alter table private.search_variants enable row level security;
revoke all on table private.search_variants from public, anon, authenticated, service_role;
drop policy if exists nobody on private.search_variants;
create policy nobody on private.search_variants for all to service_role using (false) with check (false);

alter table private.auth_attempts enable row level security;
revoke all on table private.auth_attempts from public, anon, authenticated, service_role;
drop policy if exists nobody on private.auth_attempts;
create policy nobody on private.auth_attempts for all to service_role using (false) with check (false);

alter table private.applied_files enable row level security;
revoke all on table private.applied_files from public, anon, authenticated, service_role;
drop policy if exists nobody on private.applied_files;
create policy nobody on private.applied_files for all to service_role using (false) with check (false);

alter table private.one_time_tokens enable row level security;
revoke all on table private.one_time_tokens from public, anon, authenticated, service_role;
drop policy if exists nobody on private.one_time_tokens;
create policy nobody on private.one_time_tokens for all to service_role using (false) with check (false);

alter table private.outbox enable row level security;
revoke all on table private.outbox from public, anon, authenticated, service_role;
drop policy if exists nobody on private.outbox;
create policy nobody on private.outbox for all to service_role using (false) with check (false);

alter table private.recovery_codes enable row level security;
revoke all on table private.recovery_codes from public, anon, authenticated, service_role;
drop policy if exists nobody on private.recovery_codes;
create policy nobody on private.recovery_codes for all to service_role using (false) with check (false);

alter table private.personality_due enable row level security;
revoke all on table private.personality_due from public, anon, authenticated, service_role;
drop policy if exists nobody on private.personality_due;
create policy nobody on private.personality_due for all to service_role using (false) with check (false);

alter table private.reset_requests enable row level security;
revoke all on table private.reset_requests from public, anon, authenticated, service_role;
drop policy if exists nobody on private.reset_requests;
create policy nobody on private.reset_requests for all to service_role using (false) with check (false);

alter table private.storage_use enable row level security;
revoke all on table private.storage_use from public, anon, authenticated, service_role;
drop policy if exists nobody on private.storage_use;
create policy nobody on private.storage_use for all to service_role using (false) with check (false);

alter table private.api_log_ins enable row level security;
revoke all on table private.api_log_ins from public, anon, authenticated, service_role;
drop policy if exists nobody on private.api_log_ins;
create policy nobody on private.api_log_ins for all to service_role using (false) with check (false);

-- Norms of few people could be compared with those of one person fewer: only scoring reads them (private.norms_of()).
alter table private.quiz_norms enable row level security;
revoke all on table private.quiz_norms from public, anon, authenticated, service_role;
drop policy if exists nobody on private.quiz_norms;
create policy nobody on private.quiz_norms for all to service_role using (false) with check (false);

alter table private.variant_words enable row level security;
revoke all on table private.variant_words from public, anon, authenticated, service_role;
drop policy if exists nobody on private.variant_words;
create policy nobody on private.variant_words for all to service_role using (false) with check (false);

alter table private.category_rules enable row level security;
revoke all on table private.category_rules from public, anon, authenticated, service_role;
drop policy if exists nobody on private.category_rules;
create policy nobody on private.category_rules for all to service_role using (false) with check (false);

alter table private.gift_prices enable row level security;
revoke all on table private.gift_prices from public, anon, authenticated, service_role;
drop policy if exists nobody on private.gift_prices;
create policy nobody on private.gift_prices for all to service_role using (false) with check (false);

alter table private.google_taxonomy enable row level security;
revoke all on table private.google_taxonomy from public, anon, authenticated, service_role;
drop policy if exists nobody on private.google_taxonomy;
create policy nobody on private.google_taxonomy for all to service_role using (false) with check (false);

alter table private.import_changes enable row level security;
revoke all on table private.import_changes from public, anon, authenticated, service_role;
drop policy if exists nobody on private.import_changes;
create policy nobody on private.import_changes for all to service_role using (false) with check (false);

alter table private.import_rejects enable row level security;
revoke all on table private.import_rejects from public, anon, authenticated, service_role;
drop policy if exists nobody on private.import_rejects;
create policy nobody on private.import_rejects for all to service_role using (false) with check (false);

alter table private.import_sources enable row level security;
revoke all on table private.import_sources from public, anon, authenticated, service_role;
drop policy if exists nobody on private.import_sources;
create policy nobody on private.import_sources for all to service_role using (false) with check (false);

alter table private.merged_rows enable row level security;
revoke all on table private.merged_rows from public, anon, authenticated, service_role;
drop policy if exists nobody on private.merged_rows;
create policy nobody on private.merged_rows for all to service_role using (false) with check (false);

alter table private.suggestions enable row level security;
revoke all on table private.suggestions from public, anon, authenticated, service_role;
drop policy if exists nobody on private.suggestions;
create policy nobody on private.suggestions for all to service_role using (false) with check (false);

alter table private.earlier_names enable row level security;
revoke all on table private.earlier_names from public, anon, authenticated, service_role;
drop policy if exists nobody on private.earlier_names;
create policy nobody on private.earlier_names for all to service_role using (false) with check (false);

-- Read through private.rollup_counts(), which knows who may see what.
alter table private.rollups enable row level security;
revoke all on table private.rollups from public, anon, authenticated, service_role;
drop policy if exists nobody on private.rollups;
create policy nobody on private.rollups for all to service_role using (false) with check (false);

alter table private.rollup_days_due enable row level security;
revoke all on table private.rollup_days_due from public, anon, authenticated, service_role;
drop policy if exists nobody on private.rollup_days_due;
create policy nobody on private.rollup_days_due for all to service_role using (false) with check (false);

alter table private.rollup_months enable row level security;
revoke all on table private.rollup_months from public, anon, authenticated, service_role;
drop policy if exists nobody on private.rollup_months;
create policy nobody on private.rollup_months for all to service_role using (false) with check (false);

alter table private.rollup_months_done enable row level security;
revoke all on table private.rollup_months_done from public, anon, authenticated, service_role;
drop policy if exists nobody on private.rollup_months_done;
create policy nobody on private.rollup_months_done for all to service_role using (false) with check (false);

alter table private.backup_runs enable row level security;
revoke all on table private.backup_runs from public, anon, authenticated, service_role;
drop policy if exists nobody on private.backup_runs;
create policy nobody on private.backup_runs for all to service_role using (false) with check (false);
