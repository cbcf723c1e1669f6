-- The currency of what a click promised: flat amounts and caps are of that one, and sales may be reported in another.
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, require-concurrent-index-creation

alter table public.conversion_clicks
  add column currency char(3) constraint conversion_clicks_currency_fkey
    references public.currencies (code) on delete restrict;
comment on column public.conversion_clicks.currency is 'Of the click''s price, and so of the flat amount and the cap.';
create index conversion_clicks_currency_idx on public.conversion_clicks (currency);

-- An import may wait for another one: what it posts is known when it is posted, not when the import began.
alter table public.ledger_entries alter column recorded_at set default statement_timestamp();

update public.conversion_clicks k set currency = c.currency
from public.affiliate_clicks c where c.id = k.click_id;
