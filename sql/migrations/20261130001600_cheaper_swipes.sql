-- What each swipe checked for nothing.
-- squawk-ignore-file ban-drop-constraint

-- A signal goes with its swipe, and the swipe with its person and product: two more foreign keys said the same, and locked
-- both rows.
alter table public.product_signals
  drop constraint product_signals_user_id_fkey,
  drop constraint product_signals_product_id_fkey;

-- Not called for a swipe without a context.
alter function private.is_plain_json(jsonb) strict;
