-- name: read_migrations
-- The schema changes that this store has had, in order.
SELECT name FROM migrations ORDER BY number;
