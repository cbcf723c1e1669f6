-- Statements of people in db/verification/people.py; all of them are rolled back.

-- name: plant_people(people, anonymous)
insert into public.profiles (id, is_anonymous, updated_at)
select id, id = :anonymous::uuid, '2000-01-01' from unnest(:people::uuid[]) id;

-- name: plant_shop(key)
with category as (insert into public.categories (slug, name) values (:key::text, 'Verification'))
insert into public.retailers (slug, name, affiliate_network, commission_rate, is_active)
values (:key::text, 'Verification', (select min(code) from public.affiliate_networks), 0.05, false);

-- name: plant_product(key, product)
insert into public.products (id, name, price_minor, currency, category_id, retailer_id, external_id, affiliate_url)
select :product::uuid, 'Verification', 2000, 'GBP', c.id, r.id, :key::text, 'https://shop.example/verification'
from public.categories c, public.retailers r where c.slug = :key::text and r.slug = :key::text;

-- name: swipe(key, product, direction)
insert into public.swipes (client_swipe_id, product_id, direction)
values (:key::text, :product::uuid, :direction::text::public.swipe_direction) returning id;

-- name: strength(swipe)
select preference_strength from public.swipes where id = :swipe::uuid and user_id = auth.uid();

-- name: undo(user)
with undone as (update public.swipes set undone_at = now() where user_id = :user::uuid returning 1)
select count(*) from undone;

-- name: swipe_for(user, key, product)
insert into public.swipes (user_id, client_swipe_id, product_id, direction)
values (:user::uuid, :key::text, :product::uuid, 'right');

-- name: give_swipe(user)
update public.swipes set user_id = :user::uuid where user_id = auth.uid();

-- name: turn_swipe()
update public.swipes set direction = 'up', undone_at = now() where user_id = auth.uid();

-- name: delete_swipes()
delete from public.swipes where user_id = auth.uid();

-- name: make_up_signal(product)
insert into public.product_signals (product_id, swipe_id, direction, preference_strength, swiped_at)
values (:product::uuid, private.uuid_v7(), 'up', 0.95, now());

-- name: click_by_hand(product)
insert into public.affiliate_clicks (product_id, affiliate_url, price_minor, currency)
values (:product::uuid, 'https://shop.example/by-hand', 1, 'GBP');

-- name: click(product)
select private.create_affiliate_click(:product::uuid, null, null, 'verification', null);

-- name: change_click()
update public.affiliate_clicks set campaign = 'changed' where user_id = auth.uid();

-- name: delete_clicks()
delete from public.affiliate_clicks where user_id = auth.uid();

-- name: is_click_right(click)
select c.price_minor = 2000 and c.currency = 'GBP' and c.commission_rate = 0.05 and c.expected_commission_minor = 100
  and c.actual_commission_minor is null and c.affiliate_url = 'https://shop.example/verification'
from public.affiliate_clicks c where c.id = :click::uuid;

-- name: sees_product(product)
select exists (select from public.products where id = :product::uuid);

-- name: rename_product(product)
with renamed as (update public.products set name = 'Renamed' where id = :product::uuid returning 1)
select count(*) from renamed;

-- name: rename()
update public.profiles set display_name = 'Verification' where id = auth.uid() returning updated_at > '2000-01-01';

-- name: take_email(key)
update public.profiles set email = :key::text || '@people.example' where id = auth.uid();

-- name: view(product)
insert into public.product_views (id, product_id) values (private.uuid_v7(), :product::uuid)
returning tableoid::regclass::text;

-- name: old_view(product)
insert into public.product_views (id, product_id)
values (private.uuid_v7_floor(now() - interval '1 year'), :product::uuid);

-- name: prefer(user)
select array[total_swipes, right_swipes] from public.user_preferences where user_id = :user::uuid;

-- name: session_by_hand()
insert into public.user_sessions (refresh_token_hash, expires_at) values (sha256('verification'), now());

-- name: session(user)
with signed_in as (
  insert into public.user_sessions (user_id, refresh_token_hash, expires_at)
  values (:user::uuid, sha256(:user::uuid::text::bytea), now() + interval '1 minute') returning user_id, id
)
insert into public.session_analytics (user_id, session_id, landing_page, device_type)
select user_id, id, '/discover', 'desktop' from signed_in;

-- name: assess()
insert into public.personality_profiles (primary_type, personality_scores) values ('creative', '{"creative": 80}')
returning id;

-- name: recommend_by_personality(product, profile)
insert into public.personality_recommendations (product_id, personality_profile_id, personality_match_score,
  category_alignment_score, behavioral_prediction, combined_score, confidence_level)
values (:product::uuid, :profile::uuid, 0.8, 0.7, 0.6, 0.7, 0.5);

-- name: recommend(product)
insert into public.recommendations (
  product_id, recommendation_context, model_version, position, propensity, score, generated_at)
values (:product::uuid, 'discover', 1, 1, 1, 0.5, now()) returning id;

-- name: rate(recommendation, product)
insert into public.recommendation_feedback (recommendation_id, product_id, feedback_type)
values (:recommendation::uuid, :product::uuid, 'helpful') returning id;

-- name: summary()
select swipes from public.get_user_analytics_summary();

-- name: erase(user)
delete from public.profiles where id = :user::uuid;
