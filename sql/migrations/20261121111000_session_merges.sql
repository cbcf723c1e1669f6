-- An anonymous session becomes part of an account: its rows are re-keyed, so references between rows of one person have
-- to wait for the end of that transaction.

alter table public.session_analytics alter constraint session_analytics_session_fkey deferrable initially immediate;
alter table public.swipes alter constraint swipes_recommendation_fkey deferrable initially immediate;
alter table public.product_signals alter constraint product_signals_swipe_fkey deferrable initially immediate;
alter table public.affiliate_clicks alter constraint affiliate_clicks_recommendation_fkey deferrable initially immediate;
alter table public.affiliate_redirects alter constraint affiliate_redirects_click_fkey deferrable initially immediate;
alter table public.recommendation_feedback
  alter constraint recommendation_feedback_recommendation_fkey deferrable initially immediate;
alter table public.personality_recommendations
  alter constraint personality_recommendations_profile_fkey deferrable initially immediate;

create table public.session_merges (
  user_id uuid not null constraint session_merges_user_id_fkey references public.profiles (id) on delete cascade,
  session_profile_id uuid not null,
  swipes integer not null,
  clicks integer not null,
  views integer not null,
  assessments integer not null,
  merged_at timestamptz not null default now(),
  constraint session_merges_pkey primary key (user_id, session_profile_id),
  constraint session_merges_session_profile_id_key unique (session_profile_id)
);
comment on table public.session_merges is
  'Which anonymous profile became part of which account; the profile itself is gone. Once, and into one account only.';
comment on constraint session_merges_session_profile_id_key on public.session_merges is
  'Without user_id on purpose: two accounts must not both have it.';

-- The names the reference documents give these constraints; a constraint's name is its table's own.
-- squawk-ignore renaming-object
alter table public.personality_profiles rename constraint personality_profiles_valid_confidence to valid_confidence;
-- squawk-ignore renaming-object
alter table public.personality_gift_mappings rename constraint personality_gift_mappings_valid_confidence to valid_confidence;
-- squawk-ignore renaming-object
alter table public.personality_recommendations rename constraint personality_recommendations_valid_confidence to valid_confidence;
