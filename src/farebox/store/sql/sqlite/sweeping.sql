-- name: beat_process
-- A gateway process begins, or is alive.
INSERT INTO processes (id, started_at, heartbeat_at) VALUES (?1, ?2, ?2) ON CONFLICT (id) DO UPDATE SET heartbeat_at = ?2;

-- name: orphaned_holds
-- Open holds of any other process: on SQLite there is none, however short its silence. Those of `api` and `background` are nobody's.
SELECT id FROM holds WHERE state = 'open' AND owner NOT IN (?1, 'api', 'api:key', 'background') AND ?3 > 0 LIMIT ?2;

-- name: holders
-- Processes that hold something, and when they were last heard of.
SELECT h.owner, coalesce(p.heartbeat_at, 0) FROM (SELECT DISTINCT owner FROM holds WHERE state = 'open') AS h
LEFT JOIN processes AS p ON p.id = h.owner WHERE h.owner NOT IN ('api', 'api:key', 'background') ORDER BY h.owner;

-- name: abandoned_holds
-- Open holds of any other process: on SQLite nobody has to find out which of them are dead.
SELECT id FROM holds WHERE state = 'open' AND owner NOT IN (?1, 'api', 'api:key', 'background') AND ?2 IS NOT NULL LIMIT ?3;

-- name: overdue_holds
-- Open holds of this process that should have ended long ago, and those that are no process's own (`api`, `background`).
SELECT id FROM holds WHERE state = 'open' AND owner IN (?1, 'api', 'api:key', 'background') AND deadline < ?2 LIMIT ?3;

-- name: overdue_grants
-- Grants past their expiry with something left that is not booked yet.
SELECT id FROM grants WHERE expires_at IS NOT NULL AND expires_at <= ?1 AND amount - spent - held - expired > 0 LIMIT ?2;

-- name: forget_answers
-- Recorded answers that were kept long enough, the oldest first, so many at a time. That they were charged stays known.
UPDATE replays SET answer = NULL WHERE (key, name) IN (
  SELECT key, name FROM replays INDEXED BY replays_answered WHERE created_at < ?1 AND state = 'done' AND answer IS NOT NULL
  ORDER BY created_at LIMIT 2000);

-- name: name_store
-- A ledger's own number, by which its journals know it. Given once.
INSERT INTO meta (name, value) VALUES ('store', ?1) ON CONFLICT (name) DO NOTHING;

-- name: read_store_number
-- A ledger's own number.
SELECT value FROM meta WHERE name = 'store';
