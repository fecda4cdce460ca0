-- name: read_admin_key
-- An admin key by the hash of its secret.
SELECT hash, id, name, scope, created_at, revoked_at FROM admin_keys WHERE hash = $1;

-- name: list_admin_keys
-- The admin keys that are good, with the whole installation as their scope.
SELECT hash, id, name, scope, created_at, revoked_at FROM admin_keys WHERE revoked_at IS NULL AND scope IS NULL ORDER BY id;

-- name: add_admin_key
-- A new admin key, or one that is good again.
INSERT INTO admin_keys (hash, id, name, scope, created_at)
SELECT DISTINCT ON (hash) hash, id, name, scope, created_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
  WITH ORDINALITY AS c (hash, id, name, scope, created_at, ordinality)
ORDER BY hash, ordinality DESC
ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL;

-- name: revoke_admin_key
-- An admin key that is good no longer.
UPDATE admin_keys AS k SET revoked_at = c.revoked_at
FROM unnest($1::text[], $2::bigint[])
  AS c (id, revoked_at)
WHERE k.id = c.id AND k.revoked_at IS NULL;
