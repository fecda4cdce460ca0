-- name: store_object
-- Whoever made it first has it. Told again of the same account it lives longer, and more may be known of it.
INSERT INTO objects AS o (provider, id, kind, account, key, request_id, made_at, expires_at, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, provider) DO UPDATE SET expires_at = max(o.expires_at, excluded.expires_at), facts = excluded.facts
WHERE o.account = excluded.account AND o.kind = excluded.kind;

-- name: read_object
-- A stored object, for the account that made it and those above it: which provider keeps it, and what is known of it.
WITH RECURSIVE above (provider, id, parent) AS (
  SELECT o.provider, a.id, a.parent FROM objects AS o JOIN accounts AS a ON a.id = o.account WHERE o.id = ?2 AND o.kind = ?1
  UNION ALL
  SELECT below.provider, a.id, a.parent FROM above AS below JOIN accounts AS a ON a.id = below.parent)
SELECT o.provider, o.kind, o.id, o.account, o.key, o.made_at, o.facts FROM objects AS o
WHERE o.id = ?2 AND o.kind = ?1 AND o.expires_at > ?4 AND EXISTS (SELECT 1 FROM above AS a WHERE a.provider = o.provider AND a.id = ?3)
ORDER BY o.provider;

-- name: read_objects
-- What is stored under any of these ids, whoever has it, and whether it is for this account: one that made it, or is above the one that did.
WITH asked (id) AS (SELECT DISTINCT value FROM json_each(?2))
SELECT o.provider, o.kind, o.id, o.account, o.key, o.made_at, o.facts,
       CASE WHEN o.account = ?3 OR EXISTS (
         WITH RECURSIVE above (id, parent) AS (
           SELECT a.id, a.parent FROM accounts AS a WHERE a.id = o.account
           UNION ALL
           SELECT a.id, a.parent FROM above AS below JOIN accounts AS a ON a.id = below.parent)
         SELECT 1 FROM above WHERE above.id = ?3) THEN 1 ELSE 0 END
FROM asked CROSS JOIN objects AS o
WHERE o.id = asked.id AND o.kind = ?1 AND o.expires_at > ?4
ORDER BY o.id, o.provider;

-- name: drop_object
-- The provider keeps it no longer.
DELETE FROM objects WHERE provider = ? AND id = ?;

-- name: forgettable_object
-- Whether there is one.
SELECT id FROM objects WHERE expires_at < ?1 ORDER BY expires_at LIMIT 1;

-- name: forget_objects
-- Whose an object is, long after its provider forgot it: the oldest first, so many at a time.
DELETE FROM objects WHERE (id, provider) IN (SELECT id, provider FROM objects WHERE expires_at < ?1 ORDER BY expires_at LIMIT 2000);

-- name: hand_over_hold
-- The background has it now; only an open hold can be handed over.
UPDATE holds SET owner = ?2, deadline = ?3 WHERE id = ?1 AND state = 'open';

-- name: begin_background
-- What any process needs to settle a hold whose provider answers later.
INSERT INTO background (hold_id, provider, response_id, facts, begun_at, next_poll_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: end_background
-- The hold has ended.
DELETE FROM background WHERE hold_id = ?;

-- name: due_background
-- When the next provider is to be asked; nothing if none is.
SELECT min(next_poll_at) FROM background;

-- name: claim_background
-- Takes holds whose providers are to be asked now, the longest due first, for so many microseconds: nobody else asks meanwhile.
UPDATE background SET next_poll_at = ?1 + ?2, claimed_by = ?3, tries = tries + 1
WHERE hold_id IN (SELECT hold_id FROM background WHERE next_poll_at <= ?1 ORDER BY next_poll_at, hold_id LIMIT ?4)
RETURNING hold_id, provider, response_id, facts, begun_at, tries;

-- name: read_background
-- The hold of a response that is not settled yet.
SELECT hold_id, provider, response_id, facts, begun_at, tries FROM background WHERE provider = ? AND response_id = ?;

-- name: pace_background
-- Asked, and not ready: when to ask again. Only by whoever has it.
UPDATE background SET next_poll_at = ?3, claimed_by = '' WHERE hold_id = ?1 AND claimed_by = ?2;

-- name: hasten_background
-- Something happened to a response: whoever is next asks at once, unless somebody is asking.
UPDATE background SET next_poll_at = min(next_poll_at, ?3) WHERE provider = ?1 AND response_id = ?2 AND claimed_by = '';
