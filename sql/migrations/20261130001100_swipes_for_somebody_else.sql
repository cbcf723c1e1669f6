-- Swipes and feedback on the gift finder's recommendations say what somebody else likes: the database notes that from the
-- recommendation they answer (sql/functions/swipes.sql).

alter table public.swipes add column is_for_somebody_else boolean not null default false;
comment on column public.swipes.is_for_somebody_else is
  'Of a recommendation of the gift finder: kept with it, and no signal of the person who swiped. Set by a trigger.';
alter table public.recommendation_feedback add column is_for_somebody_else boolean not null default false;
comment on column public.recommendation_feedback.is_for_somebody_else is
  'Of a recommendation of the gift finder: no signal of the person who gave it. Set by a trigger.';

update public.swipes s set is_for_somebody_else = true from public.recommendations r
where r.user_id = s.user_id and r.id = s.recommendation_id and r.recommendation_context = 'gift_finder';
update public.recommendation_feedback f set is_for_somebody_else = true from public.recommendations r
where r.user_id = f.user_id and r.id = f.recommendation_id and r.recommendation_context = 'gift_finder';

-- What somebody swiped for themselves before or after counts again.
insert into public.product_signals as g (user_id, product_id, swipe_id, direction, preference_strength, swiped_at)
select distinct on (s.user_id, s.product_id)
  s.user_id, s.product_id, s.id, s.direction, s.preference_strength, s.created_at
from public.swipes s
where s.undone_at is null and not s.is_for_somebody_else
  and exists (
    select from public.swipes o
    where o.user_id = s.user_id and o.product_id = s.product_id and o.is_for_somebody_else)
order by s.user_id, s.product_id, s.created_at desc, s.id desc
on conflict (user_id, product_id) do update set
  swipe_id = excluded.swipe_id, direction = excluded.direction,
  preference_strength = excluded.preference_strength, swiped_at = excluded.swiped_at;
delete from public.product_signals g using public.swipes s
where s.user_id = g.user_id and s.id = g.swipe_id and s.is_for_somebody_else;
