-- Mappings of personality to gifts: a row per trait and gift category, and tags in a table of their own. What tags said
-- stays; lists of category slugs cannot be read as weights and go, with filters that never ranked. docs/decisions/0010.

create table public.personality_tag_mappings (
  personality_type varchar(50) not null,
  tag text not null,
  weight numeric(3, 2) not null,
  source text not null default 'admin',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint personality_tag_mappings_pkey primary key (personality_type, tag),
  constraint personality_tag_mappings_weight_range check (weight between -1 and 1),
  constraint personality_tag_mappings_personality_type
    check (personality_type in ('adventurous', 'intellectual', 'practical', 'creative', 'social')),
  constraint personality_tag_mappings_source check (source in ('reference', 'admin'))
);
comment on table public.personality_tag_mappings is 'How a tag suits a trait: -1..1.';
create trigger personality_tag_mappings_updated_at before update on public.personality_tag_mappings
  for each row execute function public.update_updated_at_column();
alter table public.personality_tag_mappings enable row level security;

insert into public.personality_tag_mappings (personality_type, tag, weight, source)
select m.personality_type, t.key, greatest(-1, least(1, round(t.value::numeric, 2))),
  case when m.updated_at > m.created_at then 'admin' else 'reference' end
from public.personality_gift_mappings m
cross join lateral jsonb_each(case when jsonb_typeof(m.product_tags) = 'object' then m.product_tags else '{}' end) t
where m.algorithm_version = '1.0' and jsonb_typeof(t.value) = 'number';

delete from public.personality_gift_mappings;
-- The functions that read what goes; sql/functions creates those that take their place.
drop function if exists private.product_traits(uuid, text[]);
drop function if exists private.category_alignments(uuid);
alter table public.personality_gift_mappings
  drop constraint personality_gift_mappings_personality_type_key,
  drop constraint valid_weight,
  drop column recommended_categories,
  drop column avoided_categories,
  drop column product_tags,
  drop column demographic_filters,
  add column taxonomy_id uuid not null constraint personality_gift_mappings_taxonomy_id_fkey
    references public.gift_categories (id) on delete cascade,
  add column source text not null default 'admin',
  add constraint valid_weight check (recommendation_weight between -1 and 1),
  add constraint personality_gift_mappings_source check (source in ('reference', 'admin')),
  add constraint personality_gift_mappings_taxonomy_id_key unique (taxonomy_id, personality_type, algorithm_version);
comment on column public.personality_gift_mappings.recommendation_weight is
  'How the category suits the trait: -1 repels, 1 attracts.';
comment on column public.personality_gift_mappings.occasion_relevance is
  'How much this counts on an occasion: {"occasion": 0..1}; 1 where it says nothing.';
comment on column public.personality_gift_mappings.price_range_modifier is
  '{"low": x, "high": y}, -1..1: the trait counts 1 + x for cheap products of the category, 1 + y for dear ones.';
