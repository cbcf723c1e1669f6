-- name: applied()
select name, checksum from private.applied_migrations();
