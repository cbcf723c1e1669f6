-- Second factors of log-ins, in the shape of Supabase's table, where the auth schema is ours. What was asked for a
-- second factor reads it through private.has_mfa(), which finds Supabase's own just as well.

do $$
begin
  if obj_description('auth'::regnamespace, 'pg_namespace') = 'aclue' then
    create table auth.mfa_factors (
      id uuid not null default private.uuid_v7() constraint mfa_factors_pkey primary key,
      user_id uuid not null constraint mfa_factors_user_id_fkey references auth.users (id) on delete cascade,
      friendly_name text,
      factor_type text not null constraint mfa_factors_factor_type check (factor_type = 'totp'),
      status text not null default 'unverified'
        constraint mfa_factors_status check (status in ('unverified', 'verified')),
      secret text,
      last_challenged_at timestamptz,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
    create index mfa_factors_user_id_idx on auth.mfa_factors (user_id);
    alter table auth.mfa_factors enable row level security;
  end if;
end
$$;
