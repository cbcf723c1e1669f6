-- name: figures()
-- As service_role.
select figure, label, value from private.metrics()
