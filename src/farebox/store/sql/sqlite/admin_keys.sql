-- name: read_admin_key
-- An admin key by the hash of its secret.
SELECT hash, id, name, scope, created_at, revoked_at FROM admin_keys WHERE hash = ?;

-- name: list_admin_keys
-- The admin keys that are good, with the whole installation as their scope.
SELECT hash, id, name, scope, created_at, revoked_at FROM admin_keys WHERE revoked_at IS NULL AND scope IS NULL ORDER BY id;

-- name: add_admin_key
-- A new admin key, or one that is good again.
INSERT INTO admin_keys (hash, id, name, scope, created_at, revoked_at) VALUES (?, ?, ?, ?, ?, NULL)
ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL;

-- name: revoke_admin_key
-- An admin key that is good no longer.
UPDATE admin_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL;
