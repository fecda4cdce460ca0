-- name: register_process
-- A gateway process begins.
INSERT INTO processes (id, started_at, heartbeat_at) VALUES (?1, ?2, ?2) ON CONFLICT (id) DO UPDATE SET heartbeat_at = ?2;

-- name: beat_process
-- A gateway process is alive.
UPDATE processes SET heartbeat_at = ?2 WHERE id = ?1;

-- name: orphaned_holds
-- Open holds of any other process: on SQLite there is no other.
SELECT id FROM holds WHERE state = 'open' AND owner <> ?1 LIMIT ?2;

-- name: overdue_holds
-- Open holds of this process that should have ended long ago.
SELECT id FROM holds WHERE state = 'open' AND owner = ?1 AND deadline < ?2 LIMIT ?3;

-- name: overdue_grants
-- Grants past their expiry with something left that is not booked yet.
SELECT id FROM grants WHERE expires_at IS NOT NULL AND expires_at <= ?1 AND amount - spent - held - expired > 0 LIMIT ?2;

-- name: forget_answers
-- Recorded answers that were kept long enough. That they were charged stays known.
UPDATE replays SET answer = NULL WHERE created_at < ?1 AND state = 'done' AND answer IS NOT NULL;
