-- The API scores quizzes with them under the caller's own role. Nobody else reaches them: data APIs, such as Supabase's,
-- do not expose the private schema, because norms of few people could be compared with those of one person fewer.
alter table private.quiz_norms enable row level security;
revoke all on table private.quiz_norms from public, anon, authenticated, service_role;

grant select on table private.quiz_norms to anon, authenticated, service_role;
drop policy if exists quiz_norms_read on private.quiz_norms;
create policy quiz_norms_read on private.quiz_norms for select to anon, authenticated, service_role
  using (true);
