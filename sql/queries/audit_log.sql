-- name: of_table(name)
r.table_name = :name::text

-- name: of_person(id)
-- Entries about, or by, a person.
(r.person_id = :id::uuid or r.actor = :id::uuid)

-- name: since(at)
-- By the id, which carries the time and gives the order of the log.
r.id >= private.uuid_v7_floor(greatest(:at::timestamptz, timestamptz '1970-01-01 00:00:00Z'))
