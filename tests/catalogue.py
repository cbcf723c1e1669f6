"""A small catalogue for tests: five leaf categories, one per trait, ten products each; a model built on it."""

from __future__ import annotations

from typing import Any

import asyncpg

from domain.personality import TRAITS

KINDS = {  # category: (trait it suits, trait it does not, tag)
    "camping": ("adventurous", "practical", "outdoors"),
    "books": ("intellectual", "social", "reading"),
    "tools": ("practical", "creative", "repair"),
    "painting": ("creative", "intellectual", "art"),
    "party": ("social", "adventurous", "together"),
}
PRODUCTS_PER_KIND = 10
NEW_PRODUCT = {  # for createProduct
    "name": "A new gift",
    "price": "10.00",
    "categorySlug": "books",
    "retailerSlug": "north-shop",
    "externalId": "new-1",
    "url": "https://shop.example/new",
}


async def fill_catalogue(owner: asyncpg.Connection[Any]) -> None:
    """50 products: "Camping 1" .. "Party 10", £10 to £19 each kind, brands and shops in turns."""
    await owner.execute(
        """
        insert into public.categories (slug, name) values ('all-gifts', 'All gifts');
        insert into public.brands (slug, name) values ('alder', 'Alder'), ('birch', 'Birch'), ('cedar', 'Cedar');
        insert into public.retailers (slug, name, domain, affiliate_network, commission_rate, tracking_hosts) values
          ('north-shop', 'North Shop', 'north.example', 'awin', 0.05, '{shop.example}'),
          ('south-shop', 'South Shop', 'south.example', 'cj', 0.08, '{shop.example}'),
          ('corner-shop', 'Corner Shop', 'corner.example', null, null, '{shop.example}');
        """
    )
    for slug, (suits, _, tag) in KINDS.items():
        await owner.execute(
            """
            insert into public.categories (slug, name, parent_id)
            select $1, initcap($1), id from public.categories where slug = 'all-gifts'
            """,
            slug,
        )
        await owner.execute(
            """
            with taxonomy as (
              insert into public.gift_categories (slug, name) values ('test-' || $1, initcap($1)) returning id
            ),
            mapped as (
              insert into public.personality_gift_mappings (
                personality_type, taxonomy_id, recommendation_weight, evidence_strength, confidence_score)
              select trait, t.id, case trait when $2 then 0.8 when $3 then -0.8 else 0 end, 'high', 1
              from taxonomy t cross join unnest($5::text[]) trait
            ),
            tagged as (
              insert into public.personality_tag_mappings (personality_type, tag, weight) values ($2, $4, 0.8)
              on conflict (personality_type, tag) do update set weight = 0.8
            )
            update public.categories c set taxonomy_id = t.id from taxonomy t where c.slug = $1
            """,
            slug,
            suits,
            next(trait for trait, other, _ in KINDS.values() if other == suits),
            tag,
            TRAITS,
        )
    for slug, (_, _, tag) in KINDS.items():
        await owner.execute(
            """
            insert into public.products (
              name, description, price_minor, currency, tags, brand_id, category_id, retailer_id, external_id,
              affiliate_url, feed_popularity)
            select initcap($1) || ' ' || i, 'A present about ' || $1, 900 + i * 100, 'GBP', array[$2, 'gift'],
              (select id from public.brands order by slug offset i % 3 limit 1),
              (select id from public.categories where slug = $1),
              (select id from public.retailers order by slug offset i % 3 limit 1),
              $1 || '-' || i, 'https://shop.example/' || $1 || '/' || i || '?colour=red', 0.3 + i * 0.01
            from generate_series(1, $3) i
            """,
            slug,
            tag,
            PRODUCTS_PER_KIND,
        )
    await owner.execute("select private.refresh_model()")
