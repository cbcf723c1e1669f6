-- Visits are followed to their end, and figures of behaviour are added up by day: docs/analytics.md.
-- squawk-ignore-file require-concurrent-index-creation

alter table public.session_analytics
  add column device_class text,
  add column utm_source text,
  add column utm_medium text,
  add column pages integer not null default 0,
  add column last_page text,
  add column swipes integer not null default 0,
  add column clicks integer not null default 0,
  add column converted_at timestamptz,
  add column ended_at timestamptz;
comment on table public.session_analytics is
  'Visits of anonymous sessions. What came after the start is counted by private.refresh_rollups(), from the rows that say it.';
comment on column public.session_analytics.device_class is 'What the client says if it is a class, otherwise by the User-Agent.';
comment on column public.session_analytics.campaign is 'What the client says, or utm_campaign of the landing page.';
comment on column public.session_analytics.pages is 'How many different pages events and views of products name.';
comment on column public.session_analytics.converted_at is 'The first order that came of its clicks.';
comment on column public.session_analytics.ended_at is 'The last thing that happened in it; null until it is counted.';
create index session_analytics_time_idx on public.session_analytics (started_at, (coalesce(ended_at, started_at)));

alter table public.impressions add column session_id uuid;
comment on column public.impressions.session_id is 'Null in rows of earlier releases.';

create table private.rollups (
  report text not null,
  grouping_name text not null,
  day date not null,
  keys text[] not null,
  events bigint[] not null,
  people integer[] not null,
  published bigint[] not null,
  constraint rollups_pkey primary key (report, grouping_name, day, keys),
  constraint rollups_report check (report in ('funnel', 'recommendations'))
);
comment on table private.rollups is
  'Counts by day (UTC) and group, of which none names a person. They follow from the rows they count: private.rollups_of().';
comment on column private.rollups.grouping_name is 'The dimensions, joined by commas; the keys are the values of these.';
comment on column private.rollups.events is 'In the order of the report''s steps: domain/analytics.py.';
comment on column private.rollups.published is 'What analysts may add up: null where that would tell of fewer than 5 people.';
create index rollups_day_idx on private.rollups (day);

create table private.rollup_months (
  report text not null,
  grouping_name text not null,
  month date not null,
  keys text[] not null,
  events bigint[] not null,
  published bigint[] not null,
  is_suppressed boolean[] not null,
  constraint rollup_months_pkey primary key (report, grouping_name, month, keys)
);
comment on table private.rollup_months is 'Sums of the rollups of whole months that are over; read where rollup_months_done has the month.';
create index rollup_months_month_idx on private.rollup_months (month);

create table private.rollup_months_done (
  month date not null constraint rollup_months_done_pkey primary key
);
comment on table private.rollup_months_done is 'Months whose sums are those of their days; a day that changes takes its month out.';

create table private.rollup_days_due (
  id bigint generated always as identity constraint rollup_days_due_pkey primary key,
  day date not null,
  due_at timestamptz not null default now()
);
comment on table private.rollup_days_due is
  'Days whose rollups are to be computed again; a row per statement that changed something, so that none waits for another.';

alter table private.rollups enable row level security;
alter table private.rollup_months enable row level security;
alter table private.rollup_months_done enable row level security;
alter table private.rollup_days_due enable row level security;

insert into private.rollup_days_due (day)
select generate_series(least(
  (select min(created_at) from public.profiles) - interval '32 days', (select min(ordered_at) from public.conversions), now())
  at time zone 'UTC', now() at time zone 'UTC', '1 day')::date;
