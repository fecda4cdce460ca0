-- name: read_command
-- What an outside command was and what it came to.
SELECT id, fingerprint, outcome, at FROM commands WHERE id = ?;

-- name: write_command
-- Kept for ever.
INSERT INTO commands (id, fingerprint, outcome, at) VALUES (?, ?, ?, ?);

-- name: read_account
-- One account.
SELECT id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since, markup_basis_points,
       markup_fixed_nano, metadata, rev
FROM accounts WHERE id = ?;

-- name: read_account_by_external_id
-- The account that a back office knows by its own id.
SELECT id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since, markup_basis_points,
       markup_fixed_nano, metadata, rev
FROM accounts WHERE external_id = ?;

-- name: write_account
-- A new account, or what may change of an old one.
INSERT INTO accounts (id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since,
                      markup_basis_points, markup_fixed_nano, metadata, rev)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, external_id = excluded.external_id,
  status = excluded.status, status_why = excluded.status_why, status_since = excluded.status_since,
  markup_basis_points = excluded.markup_basis_points, markup_fixed_nano = excluded.markup_fixed_nano, metadata = excluded.metadata,
  rev = excluded.rev;

-- name: read_key
-- One key by id.
SELECT id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
       default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
       markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM keys WHERE id = ?;

-- name: read_key_by_hash
-- One key by the hash of its secret.
SELECT id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
       default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
       markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM keys WHERE hash = ?;

-- name: write_key
-- A new key, or what may change of an old one.
INSERT INTO keys (id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
                  default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
                  markup_basis_points, markup_fixed_nano, limit_reset, rev)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, label = excluded.label, name = excluded.name, status = excluded.status,
  status_why = excluded.status_why, status_since = excluded.status_since, expires_at = excluded.expires_at, models = excluded.models,
  clamp = excluded.clamp, default_max_output_tokens = excluded.default_max_output_tokens, unknown_fields = excluded.unknown_fields,
  requests_per_minute = excluded.requests_per_minute, tokens_per_minute = excluded.tokens_per_minute,
  concurrent = excluded.concurrent, tags = excluded.tags, metadata = excluded.metadata,
  markup_basis_points = excluded.markup_basis_points, markup_fixed_nano = excluded.markup_fixed_nano,
  limit_reset = excluded.limit_reset, rev = excluded.rev;

-- name: read_budgets
-- The budgets of a scope, as JSON.
SELECT budgets FROM budgets WHERE scope = ?;

-- name: write_budgets
-- All budgets of a scope at once.
INSERT INTO budgets (scope, budgets) VALUES (?1, ?2) ON CONFLICT (scope) DO UPDATE SET budgets = ?2;

-- name: read_counters
-- What is counted in a scope.
SELECT scope, time_window, timezone, filter FROM counters WHERE scope = ? ORDER BY id;

-- name: make_counter
-- A counter begins.
INSERT OR IGNORE INTO counters (id, scope, time_window, timezone, filter) VALUES (?, ?, ?, ?, ?);

-- name: backfill_window
-- What a new counter would have counted.
INSERT INTO window_backfills (counter, start, price, cost, tokens, requests) VALUES (?, ?, ?, ?, ?, ?);

-- name: history_counted
-- What keys of a scope (a key, or an account with all below it) counted in a window that they have from birth, by model, tags, run and time.
WITH RECURSIVE below (id) AS (SELECT ?1 UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = ?1
  UNION ALL SELECT k.id, k.tags FROM below AS b CROSS JOIN keys AS k WHERE k.account = b.id)
SELECT '', a.tags, '', w.start, sum(w.price_spent), sum(w.cost_spent), sum(w.tokens_spent), sum(w.requests_spent)
FROM asked AS a CROSS JOIN windows AS w WHERE w.counter = a.id || '/' || ?2 AND w.start = ?3
GROUP BY a.tags, w.start;

-- name: history_rolled
-- What was charged in a scope in whole hours since a time, by the same. An hour that lies in two parts of a ring is not whole.
WITH RECURSIVE below (id) AS (SELECT ?1 UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = ?1
  UNION ALL SELECT k.id, k.tags FROM below AS b CROSS JOIN keys AS k WHERE k.account = b.id)
SELECT u.provider || '/' || u.model, a.tags, '', u.hour - u.hour % ?3, sum(u.price), sum(u.cost), sum(u.tokens), sum(u.calls)
FROM asked AS a CROSS JOIN usage_hours AS u
WHERE u.key = a.id AND u.hour >= ?2 AND u.hour / ?3 = (u.hour + 3599999999) / ?3
GROUP BY 1, 2, 3, 4;

-- name: history_charged
-- What was charged in a scope in stretches of time, by the same. Of each stretch: the first id, the one after the last, and from when to when.
WITH RECURSIVE below (id) AS (SELECT ?1 UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = ?1
  UNION ALL SELECT k.id, k.tags FROM below AS b CROSS JOIN keys AS k WHERE k.account = b.id)
SELECT h.provider || '/' || h.model, k.tags, h.run, h.created_at - h.created_at % ?3, sum(c.price), sum(c.cost), sum(c.tokens),
       sum(CASE WHEN c.outcome = 'released' THEN 0 ELSE 1 END)
FROM json_each(?2) AS p CROSS JOIN holds AS h CROSS JOIN charges AS c CROSS JOIN keys AS k
WHERE h.id >= p.value ->> 0 AND h.id < p.value ->> 1 AND h.created_at >= p.value ->> 2 AND h.created_at < p.value ->> 3
  AND h.key IN (SELECT id FROM asked) AND c.hold_id = h.id AND k.id = h.key
GROUP BY 1, 2, 3, 4;

-- name: history_open
-- The holds in a scope whose story is not over: open, or expired with a charge that may be revised. Each through an index of its kind alone.
WITH RECURSIVE below (id) AS (SELECT ?1 UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = ?1
  UNION ALL SELECT k.id, k.tags FROM below AS b CROSS JOIN keys AS k WHERE k.account = b.id)
SELECT h.id, h.provider || '/' || h.model, k.tags, h.run
FROM holds AS h INDEXED BY holds_open CROSS JOIN keys AS k
WHERE h.state = 'open' AND h.key IN (SELECT id FROM asked) AND k.id = h.key
UNION ALL
SELECT h.id, h.provider || '/' || h.model, a.tags, h.run
FROM asked AS a CROSS JOIN holds AS h INDEXED BY holds_expired CROSS JOIN charges AS c
WHERE h.state = 'expired' AND h.key = a.id AND c.hold_id = h.id AND c.revised = 0
ORDER BY 1;

-- name: read_grant
-- One grant.
SELECT id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired FROM grants WHERE id = ?;

-- name: open_grant
-- A new grant; its transfer fills it.
INSERT INTO grants (id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: book_transfer
-- A movement of money that is not a charge.
INSERT INTO transfers (id, kind, wallet, root, at, amount, legs, other_wallet, charge, note, command)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: publish_book
-- From this commit on, this version counts.
INSERT INTO books (version, published_at, note) VALUES (?, ?, ?);
