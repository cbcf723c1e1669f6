-- A signal goes with its swipe, and the swipe with its person and product: two more foreign keys said the same, and were
-- checked, with a lock on both rows, for each swipe.
-- squawk-ignore-file ban-drop-constraint
alter table public.product_signals
  drop constraint product_signals_user_id_fkey,
  drop constraint product_signals_product_id_fkey;
