-- name: lock_wallets
-- Whoever changes a wallet, its grants or the windows under it goes through its row: these wallets, and those of these holds, in order.
SELECT id FROM accounts WHERE id = ANY (ARRAY(
  SELECT json_array_elements_text($1::text::json)
  UNION SELECT wallet FROM holds WHERE id = ANY (ARRAY(SELECT json_array_elements_text($2::text::json)))))
ORDER BY id FOR NO KEY UPDATE;

-- name: lock_counters
-- Counters whose windows must not change meanwhile, in order.
SELECT id FROM counters WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json))) ORDER BY id FOR NO KEY UPDATE;

-- name: lock_windows
-- Windows by counter and start, in order, as they are once they are locked.
SELECT w.counter, w.start, w.price_held, w.cost_held, w.tokens_held, w.requests_held,
       w.price_spent, w.cost_spent, w.tokens_spent, w.requests_spent
FROM (SELECT * FROM unnest($1::text[], $2::bigint[]) AS a (counter, start) ORDER BY counter COLLATE "C", start) AS asked
CROSS JOIN LATERAL (SELECT * FROM windows WHERE counter = asked.counter AND start = asked.start FOR NO KEY UPDATE) AS w;

-- name: read_moment
-- What a batch is decided at: the database's time, and the version of the price book that counts.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (SELECT coalesce(max(version), 0) FROM books);

-- name: wallets_below
-- The wallets that an account and those below it draw on; of a key, the one that its account draws on.
WITH RECURSIVE below (id, wallet) AS (
  SELECT id, wallet FROM accounts WHERE id = $1::text
  UNION SELECT a.id, a.wallet FROM accounts AS a JOIN below AS b ON a.parent = b.id)
SELECT wallet FROM below
UNION
SELECT a.wallet FROM keys AS k JOIN accounts AS a ON a.id = k.account WHERE k.id = $1::text
ORDER BY wallet;

-- name: take_lease
-- Takes a lease that is free, over or one's own, for so many microseconds from now. A row comes back only to whoever has it now.
INSERT INTO leases AS l (name, owner, until)
VALUES ($1::text, $2::text, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3::bigint)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $3::bigint
WHERE l.owner = excluded.owner OR l.until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
RETURNING name, until;

-- name: open_batch
-- Locks wallets ($1), those of holds ($2), their windows and others ($3, $4), and reads what a batch is decided on, with revisions ($5).
SELECT locked_wallets, locked_windows, moment, newest_book, found_holds, found_charges, found_revisions, found_grants
FROM open_batch($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]);

-- name: keep_lease
-- Whether a lease is the owner's now, and that it stays so until the end of this transaction.
SELECT name FROM leases WHERE name = $1::text AND owner = $2::text AND until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FOR UPDATE;
