-- What people decide about the ledger: whose a sale is, what an exception means, and what a network does not say.
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, require-concurrent-index-creation
-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-deletion

create table public.ledger_decisions (
  id uuid not null default private.uuid_v7() constraint ledger_decisions_pkey primary key,
  kind text not null,
  reason text not null,
  conversion_id uuid constraint ledger_decisions_conversion_id_fkey
    references public.conversions (id) on delete restrict,
  exception_id uuid constraint ledger_decisions_exception_id_fkey
    references public.exceptions (id) on delete restrict,
  due_minor bigint,
  click_id uuid,
  retailer_id uuid constraint ledger_decisions_retailer_id_fkey references public.retailers (id) on delete restrict,
  tracking_id text,
  report_id uuid constraint ledger_decisions_report_id_fkey
    references public.conversion_reports (id) on delete restrict,
  recorded_at timestamptz not null default clock_timestamp(),
  constraint ledger_decisions_kind check (kind in ('match', 'adjust', 'accept', 'decline')),
  constraint ledger_decisions_reason_length check (char_length(reason) between 1 and 1000),
  constraint ledger_decisions_tracking_id_length check (char_length(tracking_id) between 1 and 200),
  constraint ledger_decisions_subject check ((kind in ('match', 'adjust')) = (conversion_id is not null)
    and (kind in ('accept', 'decline')) = (exception_id is not null)),
  constraint ledger_decisions_match check ((kind = 'match') = (click_id is not null or retailer_id is not null)
    and (click_id is null or retailer_id is null) and (tracking_id is null or retailer_id is not null)),
  constraint ledger_decisions_adjustment check ((kind = 'adjust') = (report_id is not null)),
  constraint ledger_decisions_due check (due_minor is null or exception_id is not null)
);
comment on table public.ledger_decisions is
  'What people decided about conversions and exceptions, and why; who it was is in the audit log. Rows are only added: of several '
  'about one thing the last one counts.';
comment on column public.ledger_decisions.due_minor is
  'What the payment of the exception should have been. An accepted payment settles its rows as long as it is this.';
comment on column public.ledger_decisions.click_id is 'No foreign key: the click goes with its person, the sale stays.';
comment on column public.ledger_decisions.tracking_id is 'Of the placement that the sale came from.';
create index ledger_decisions_conversion_id_idx on public.ledger_decisions (conversion_id, recorded_at);
create index ledger_decisions_exception_id_idx on public.ledger_decisions (exception_id);
create index ledger_decisions_retailer_id_idx on public.ledger_decisions (retailer_id);
create index ledger_decisions_report_id_idx on public.ledger_decisions (report_id);
alter table public.ledger_decisions enable row level security;

alter table public.exceptions
  add column decision_id uuid constraint exceptions_decision_id_fkey
    references public.ledger_decisions (id) on delete restrict;
comment on column public.exceptions.decision_id is 'The last decision about it.';
create index exceptions_decision_id_idx on public.exceptions (decision_id);

alter table public.conversions
  add column matched_by text,
  add constraint conversions_matched_by check (matched_by in ('click_id', 'click_time', 'manual'));
comment on column public.conversions.matched_by is
  'How its click is known, or manual: a person said whose it is; null: unmatched, unless its tracking id is a placement.';
update public.conversions c set matched_by = k.matched_by
from public.conversion_clicks k
where k.affiliate_network = c.affiliate_network and k.reference = c.reference;

alter table public.settlements add column is_accepted boolean not null default false;
comment on column public.settlements.is_accepted is 'It is not what it should have been, and settles its rows all the same.';

alter table public.ledger_entries drop constraint ledger_entries_account;
alter table public.ledger_entries add constraint ledger_entries_account check (account in ('expected', 'expectation',
  'deferred', 'tracked', 'income', 'approved', 'receivable', 'received', 'declined', 'reversed', 'clawed_back',
  'difference', 'rounding'));

-- An adjustment is the only report that is made by hand.
alter table public.conversion_reports
  add constraint conversion_reports_adjustment check ((kind = 'adjustment') = (source = 'manual'));

create index conversions_newest_idx on public.conversions (ordered_at, id);
drop index public.conversions_ordered_at_idx;
create index ledger_entries_newest_idx on public.ledger_entries (event_at, id);
create index payments_newest_idx on public.payments (paid_on, id);
create index exceptions_newest_idx on public.exceptions (opened_at, id);
