-- name: write(levels, components, messages, contexts, request_ids, created_ats)
-- As service_role.
insert into public.system_logs (level, component, message, context, request_id, created_at)
select i.level, i.component, i.message, i.context::jsonb, i.request_id, i.created_at
from unnest(:levels::text[], :components::text[], :messages::text[], :contexts::text[], :request_ids::text[],
  :created_ats::timestamptz[]) i (level, component, message, context, request_id, created_at)

-- name: of_level(level)
r.level = :level::text

-- name: of_component(component)
r.component = :component::text
