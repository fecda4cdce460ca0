-- name: beat_process
-- A gateway process begins, or is alive. The time is the database's: what the process takes it to be is not looked at.
INSERT INTO processes (id, started_at, heartbeat_at)
SELECT id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM unnest($1::text[], $2::bigint[]) AS c (id, said)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at;

-- name: orphaned_holds
-- Open holds of other processes that have not been heard of for so long.
SELECT h.id FROM holds AS h
WHERE h.state = 'open' AND starts_with(h.owner, 'proc_') AND h.owner <> $1::text AND NOT EXISTS (
  SELECT 1 FROM processes AS p
  WHERE p.id = h.owner AND p.heartbeat_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $3::bigint)
ORDER BY h.owner, h.deadline, h.id LIMIT $2::bigint;

-- name: holders
-- Processes that hold something, and when they were last heard of.
SELECT h.owner, coalesce(p.heartbeat_at, 0) FROM (SELECT DISTINCT owner FROM holds WHERE state = 'open') AS h
LEFT JOIN processes AS p ON p.id = h.owner WHERE starts_with(h.owner, 'proc_') ORDER BY h.owner;

-- name: abandoned_holds
-- Open holds of processes that are known to be dead; never of who asks.
SELECT id FROM holds WHERE state = 'open' AND owner <> $1::text AND owner = ANY (ARRAY(SELECT json_array_elements_text($2::text::json)))
ORDER BY owner, deadline, id LIMIT $3::bigint;

-- name: overdue_holds
-- Open holds of any process that should have ended by the database's clock: the first two parameters are not looked at.
WITH not_asked AS (SELECT $1::text, $2::bigint)
SELECT id FROM holds WHERE state = 'open' AND deadline < (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
ORDER BY owner, deadline, id LIMIT $3::bigint;

-- name: overdue_grants
-- Grants past their expiry with something left that is not booked yet.
SELECT id FROM grants WHERE expires_at IS NOT NULL AND expires_at <= $1::bigint AND amount - spent - held - expired > 0
ORDER BY id LIMIT $2::bigint;

-- name: forget_answers
-- Recorded answers that were kept long enough, the oldest first, so many at a time. That they were charged stays known.
-- One that is in use waits for the next round.
UPDATE replays SET answer = NULL WHERE ctid = ANY (ARRAY(
  SELECT old.ctid FROM unnest($1::bigint[]) AS asked (before) CROSS JOIN LATERAL (
    SELECT o.ctid FROM replays AS o WHERE o.created_at < asked.before AND o.state = 'done' AND o.answer IS NOT NULL
    ORDER BY o.created_at LIMIT 2000 FOR NO KEY UPDATE OF o SKIP LOCKED) AS old));

-- name: name_store
-- A ledger's own number, by which its journals know it. Given once.
INSERT INTO meta (name, value) SELECT 'store', number FROM unnest($1::bigint[]) AS c (number) LIMIT 1 ON CONFLICT (name) DO NOTHING;

-- name: read_store_number
-- A ledger's own number.
SELECT value FROM meta WHERE name = 'store';
