-- The most frequent look-ups: db/verification/performance.py checks their plans and times them.

-- name: product(nothing)
select * from public.products where id = :nothing::uuid;

-- name: products_by_category(nothing)
select * from public.products where category_id = :nothing::uuid order by created_at desc, id desc limit 20;

-- name: newest_products()
select id from public.products where is_active order by created_at desc, id desc limit 20;

-- name: cheapest_products()
select id from public.products where is_active order by currency <> 'GBP', currency, price_minor, id limit 20;

-- name: dearest_products()
select id from public.products where is_active order by currency <> 'GBP', currency, -price_minor, id limit 20;

-- name: cheapest_products_in_currency()
select id from public.products where is_active and currency = 'GBP' order by price_minor, id limit 20;

-- name: popular_products()
select id from public.products where is_active order by popularity desc, id desc limit 20;

-- name: found_products()
select id from public.products where search @@ plainto_tsquery('pg_catalog.english', 'verification') limit 20;

-- name: swipes(nothing)
select * from public.swipes where user_id = :nothing::uuid order by created_at desc, id desc limit 20;

-- name: swipes_of_product(nothing)
select * from public.swipes
where user_id = :nothing::uuid and product_id = :nothing::uuid order by created_at desc, id desc limit 1;

-- name: signals(nothing)
select * from public.product_signals where user_id = :nothing::uuid and product_id = :nothing::uuid;

-- name: clicks(nothing)
select id from public.affiliate_clicks where user_id = :nothing::uuid order by click_timestamp desc, id desc limit 20;

-- name: views(nothing)
select * from public.product_views where user_id = :nothing::uuid order by view_timestamp desc limit 20;

-- name: views_of_product(nothing)
select * from public.product_views where product_id = :nothing::uuid limit 20;

-- name: session(nothing)
select id from public.user_sessions where user_id = :nothing::uuid and id = :nothing::uuid;

-- name: personality(nothing)
select * from public.personality_profiles where user_id = :nothing::uuid;

-- name: assessments(nothing)
select * from public.personality_assessment_history
where user_id = :nothing::uuid order by assessment_timestamp desc, id desc limit 20;

-- name: preferences(nothing)
select * from public.user_preferences where user_id = :nothing::uuid;

-- name: feedback(nothing)
select * from public.recommendation_feedback
where user_id = :nothing::uuid and product_id = :nothing::uuid order by created_at desc, id desc limit 1;
