-- name: store_object
-- Whoever made it first has it, also of those who say so at once. Told again of the same account it lives longer, and more may be known.
INSERT INTO objects AS o (provider, id, kind, account, key, request_id, made_at, expires_at, facts)
SELECT DISTINCT ON (c.provider, c.id) c.provider, c.id, c.kind, c.account, c.first_key, c.first_request, c.first_made, c.longest, c.facts
FROM (SELECT asked.*, first_value(asked.account) OVER told AS first_account, first_value(asked.kind) OVER told AS first_kind,
             first_value(asked.key) OVER its_own AS first_key, first_value(asked.request_id) OVER its_own AS first_request,
             first_value(asked.made_at) OVER its_own AS first_made, max(asked.expires_at) OVER its_own AS longest
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[])
        WITH ORDINALITY AS asked (provider, id, kind, account, key, request_id, made_at, expires_at, facts, number)
      WINDOW told AS (PARTITION BY asked.provider, asked.id ORDER BY asked.number),
             its_own AS (PARTITION BY asked.provider, asked.id, asked.account, asked.kind ORDER BY asked.number)) AS c
LEFT JOIN objects AS k ON k.id = c.id AND k.provider = c.provider
WHERE c.account = coalesce(k.account, c.first_account) AND c.kind = coalesce(k.kind, c.first_kind)
ORDER BY c.provider, c.id, c.number DESC
ON CONFLICT (id, provider) DO UPDATE SET expires_at = greatest(o.expires_at, excluded.expires_at), facts = excluded.facts
WHERE o.account = excluded.account AND o.kind = excluded.kind;

-- name: read_object
-- A stored object, for its account and those above it: who keeps it, what is known of it. By the database's clock: $4 is not looked at.
WITH RECURSIVE not_asked AS (SELECT $4::bigint), above (provider, id, parent) AS (
  SELECT o.provider, a.id, a.parent FROM objects AS o JOIN accounts AS a ON a.id = o.account WHERE o.id = $2::text AND o.kind = $1::text
  UNION ALL
  SELECT below.provider, a.id, a.parent FROM above AS below JOIN accounts AS a ON a.id = below.parent)
SELECT o.provider, o.kind, o.id, o.account, o.key, o.made_at, o.facts FROM objects AS o
WHERE o.id = $2::text AND o.kind = $1::text AND o.expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  AND EXISTS (SELECT 1 FROM above AS a WHERE a.provider = o.provider AND a.id = $3::text)
ORDER BY o.provider;

-- name: read_objects
-- What is stored under any of these ids, and whether it is for this account. By the database's clock: $4 is not looked at.
WITH not_asked AS (SELECT $4::bigint),
asked AS (SELECT DISTINCT one.value COLLATE "C" AS id FROM json_array_elements_text($2::text::json) AS one (value))
SELECT o.provider, o.kind, o.id, o.account, o.key, o.made_at, o.facts,
       CASE WHEN o.account = $3::text OR EXISTS (
         WITH RECURSIVE above (id, parent) AS (
           SELECT a.id, a.parent FROM accounts AS a WHERE a.id = o.account
           UNION ALL
           SELECT a.id, a.parent FROM above AS below JOIN accounts AS a ON a.id = below.parent)
         SELECT 1 FROM above WHERE above.id = $3::text) THEN 1::bigint ELSE 0::bigint END
FROM asked CROSS JOIN objects AS o
WHERE o.id = asked.id AND o.kind = $1::text AND o.expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
ORDER BY o.id, o.provider;

-- name: drop_object
-- The provider keeps it no longer.
DELETE FROM objects AS o USING unnest($1::text[], $2::text[]) AS c (provider, id) WHERE o.provider = c.provider AND o.id = c.id;

-- name: forgettable_object
-- Whether there is one.
SELECT id FROM objects WHERE expires_at < $1::bigint ORDER BY expires_at LIMIT 1;

-- name: forget_objects
-- Whose an object is, long after its provider forgot it: the oldest first, so many at a time. One that is in use waits for the next round.
DELETE FROM objects WHERE ctid = ANY (ARRAY(
  SELECT old.ctid FROM unnest($1::bigint[]) AS asked (before) CROSS JOIN LATERAL (
    SELECT o.ctid FROM objects AS o WHERE o.expires_at < asked.before ORDER BY o.expires_at LIMIT 2000
    FOR UPDATE OF o SKIP LOCKED) AS old));

-- name: hand_over_hold
-- The background has it now; only an open hold can be handed over.
UPDATE holds AS h SET owner = c.owner, deadline = c.deadline
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (id, owner, deadline) WHERE h.id = c.id AND h.state = 'open';

-- name: begin_background
-- What any process needs to settle a hold whose provider answers later.
INSERT INTO background (hold_id, provider, response_id, facts, begun_at, next_poll_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[]);

-- name: end_background
-- The hold has ended.
DELETE FROM background AS b USING unnest($1::text[]) AS c (hold_id) WHERE b.hold_id = c.hold_id;

-- name: due_background
-- When the next provider is to be asked; nothing if none is.
SELECT min(next_poll_at) FROM background;

-- name: claim_background
-- Takes holds whose providers are to be asked now, the longest due first, for a while. By the database's clock: $1 is not looked at.
WITH not_asked AS (SELECT $1::bigint), due AS (
  SELECT hold_id FROM background WHERE next_poll_at <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
  ORDER BY next_poll_at, hold_id LIMIT $4::bigint FOR UPDATE SKIP LOCKED)
UPDATE background AS b SET next_poll_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $2::bigint, claimed_by = $3::text,
                           tries = b.tries + 1
FROM due WHERE b.hold_id = due.hold_id
RETURNING b.hold_id, b.provider, b.response_id, b.facts, b.begun_at, b.tries;

-- name: read_background
-- The hold of a response that is not settled yet.
SELECT hold_id, provider, response_id, facts, begun_at, tries FROM background WHERE provider = $1::text AND response_id = $2::text;

-- name: pace_background
-- Asked, and not ready: when to ask again. Only by whoever has it.
UPDATE background AS b SET next_poll_at = c.next_poll_at, claimed_by = ''
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (hold_id, claimed_by, next_poll_at)
WHERE b.hold_id = c.hold_id AND b.claimed_by = c.claimed_by;

-- name: hasten_background
-- Something happened to a response: whoever is next asks at once, unless somebody is asking.
UPDATE background AS b SET next_poll_at = least(b.next_poll_at, c.next_poll_at)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (provider, response_id, next_poll_at)
WHERE b.provider = c.provider AND b.response_id = c.response_id AND b.claimed_by = '';
