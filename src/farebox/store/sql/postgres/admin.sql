-- name: read_command
-- What an outside command was and what it came to.
SELECT id, fingerprint, outcome, at FROM commands WHERE id = $1;

-- name: write_command
-- Kept for ever.
INSERT INTO commands (id, fingerprint, outcome, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]);

-- name: read_account
-- One account.
SELECT id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since, markup_basis_points,
       markup_fixed_nano, metadata, rev
FROM accounts WHERE id = $1;

-- name: read_account_by_external_id
-- The account that a back office knows by its own id.
SELECT id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since, markup_basis_points,
       markup_fixed_nano, metadata, rev
FROM accounts WHERE external_id = $1;

-- name: write_account
-- A new account, or what may change of an old one.
INSERT INTO accounts (id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since,
                      markup_basis_points, markup_fixed_nano, metadata, rev)
SELECT DISTINCT ON (id) id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since,
                        markup_basis_points, markup_fixed_nano, metadata, rev
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bigint[])
  WITH ORDINALITY AS c (id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since,
                          markup_basis_points, markup_fixed_nano, metadata, rev, ordinality)
ORDER BY id, ordinality DESC
ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, external_id = excluded.external_id,
  status = excluded.status, status_why = excluded.status_why, status_since = excluded.status_since,
  markup_basis_points = excluded.markup_basis_points, markup_fixed_nano = excluded.markup_fixed_nano, metadata = excluded.metadata,
  rev = excluded.rev;

-- name: read_key
-- One key by id.
SELECT id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
       default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
       markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM keys WHERE id = $1;

-- name: read_key_by_hash
-- One key by the hash of its secret.
SELECT id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
       default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
       markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM keys WHERE hash = $1;

-- name: write_key
-- A new key, or what may change of an old one.
INSERT INTO keys (id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
                  default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
                  markup_basis_points, markup_fixed_nano, limit_reset, rev)
SELECT DISTINCT ON (id) id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
                        default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
                        markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bigint[],
            $11::bigint[], $12::text[], $13::text[], $14::bigint[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[], $19::text[],
            $20::text[], $21::bigint[], $22::bigint[], $23::text[], $24::bigint[])
  WITH ORDINALITY AS c (id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
                          default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
                          markup_basis_points, markup_fixed_nano, limit_reset, rev, ordinality)
ORDER BY id, ordinality DESC
ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, label = excluded.label, name = excluded.name, status = excluded.status,
  status_why = excluded.status_why, status_since = excluded.status_since, expires_at = excluded.expires_at, models = excluded.models,
  clamp = excluded.clamp, default_max_output_tokens = excluded.default_max_output_tokens, unknown_fields = excluded.unknown_fields,
  requests_per_minute = excluded.requests_per_minute, tokens_per_minute = excluded.tokens_per_minute,
  concurrent = excluded.concurrent, tags = excluded.tags, metadata = excluded.metadata,
  markup_basis_points = excluded.markup_basis_points, markup_fixed_nano = excluded.markup_fixed_nano,
  limit_reset = excluded.limit_reset, rev = excluded.rev;

-- name: read_budgets
-- The budgets of a scope, as JSON.
SELECT budgets FROM budgets WHERE scope = $1;

-- name: write_budgets
-- All budgets of a scope at once.
INSERT INTO budgets (scope, budgets)
SELECT DISTINCT ON (scope) scope, budgets
FROM unnest($1::text[], $2::text[])
  WITH ORDINALITY AS c (scope, budgets, ordinality)
ORDER BY scope, ordinality DESC
ON CONFLICT (scope) DO UPDATE SET budgets = excluded.budgets;

-- name: read_counters
-- What is counted in a scope.
SELECT scope, time_window, timezone, filter FROM counters WHERE scope = $1 ORDER BY id;

-- name: make_counter
-- A counter begins. Sorted, so that two processes cannot wait for each other.
INSERT INTO counters (id, scope, time_window, timezone, filter)
SELECT id, scope, time_window, timezone, filter
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS c (id, scope, time_window, timezone, filter)
ORDER BY id COLLATE "C"
ON CONFLICT DO NOTHING;

-- name: backfill_window
-- What a new counter would have counted.
INSERT INTO window_backfills (counter, start, price, cost, tokens, requests)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]);

-- name: history_counted
-- What keys of a scope (a key, or an account with all below it) counted in a window that they have from birth, by model, tags, run and time.
-- `OFFSET 0`, here and below: row by row through an index, whatever the planner makes of tables that were empty when it looked.
WITH RECURSIVE below (id) AS (SELECT $1::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = $1
  UNION ALL SELECT k.id, k.tags FROM below AS b JOIN keys AS k ON k.account = b.id)
SELECT ''::text, a.tags, ''::text, w.start, sum(w.price_spent)::bigint, sum(w.cost_spent)::bigint, sum(w.tokens_spent)::bigint,
       sum(w.requests_spent)::bigint
FROM asked AS a CROSS JOIN LATERAL (
  SELECT * FROM windows WHERE counter = a.id || '/' || $2::text AND start = $3::bigint OFFSET 0) AS w
GROUP BY a.tags, w.start ORDER BY a.tags, w.start;

-- name: history_rolled
-- What was charged in a scope in whole hours since a time, by the same. An hour that lies in two parts of a ring is not whole.
WITH RECURSIVE below (id) AS (SELECT $1::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = $1
  UNION ALL SELECT k.id, k.tags FROM below AS b JOIN keys AS k ON k.account = b.id)
SELECT u.model, a.tags, ''::text, u.at, sum(u.price)::bigint, sum(u.cost)::bigint, sum(u.tokens)::bigint, sum(u.calls)::bigint
FROM asked AS a CROSS JOIN LATERAL (
  SELECT provider || '/' || model AS model, hour - hour % $3::bigint AS at, price, cost, tokens, calls FROM usage_hours
  WHERE key = a.id AND hour >= $2::bigint AND hour / $3::bigint = (hour + 3599999999) / $3::bigint OFFSET 0) AS u
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: history_charged
-- What was charged in a scope in stretches of time, by the same. Of each stretch: the first id, the one after the last, and from when to when.
WITH RECURSIVE below (id) AS (SELECT $1::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = $1
  UNION ALL SELECT k.id, k.tags FROM below AS b JOIN keys AS k ON k.account = b.id)
SELECT h.model, k.tags, h.run, h.at, sum(c.price)::bigint, sum(c.cost)::bigint, sum(c.tokens)::bigint, sum(c.calls)::bigint
FROM json_array_elements($2::text::json) AS p CROSS JOIN LATERAL (
  SELECT id, key, run, provider || '/' || model AS model, created_at - created_at % $3::bigint AS at FROM holds
  WHERE id >= p.value ->> 0 AND id < p.value ->> 1 AND created_at >= (p.value ->> 2)::bigint AND created_at < (p.value ->> 3)::bigint
    AND key IN (SELECT id FROM asked) OFFSET 0) AS h
CROSS JOIN LATERAL (
  SELECT price, cost, tokens, (outcome <> 'released')::int::bigint AS calls FROM charges WHERE hold_id = h.id OFFSET 0) AS c
JOIN keys AS k ON k.id = h.key
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: history_open
-- The holds in a scope whose story is not over: open, or expired with a charge that may be revised. Each through an index of its kind alone.
WITH RECURSIVE below (id) AS (SELECT $1::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id),
asked (id, tags) AS (
  SELECT id, tags FROM keys WHERE id = $1
  UNION ALL SELECT k.id, k.tags FROM below AS b JOIN keys AS k ON k.account = b.id)
SELECT h.id, h.provider || '/' || h.model, k.tags, h.run
FROM holds AS h JOIN keys AS k ON k.id = h.key
WHERE h.state = 'open' AND h.key IN (SELECT id FROM asked)
UNION ALL
SELECT h.id, h.model, a.tags, h.run
FROM asked AS a CROSS JOIN LATERAL (
  SELECT id, run, provider || '/' || model AS model FROM holds AS e
  WHERE e.key = a.id AND e.state = 'expired' AND EXISTS (SELECT 1 FROM charges AS c WHERE c.hold_id = e.id AND c.revised = 0) OFFSET 0) AS h
ORDER BY 1;

-- name: read_grant
-- One grant.
SELECT id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired FROM grants WHERE id = $1;

-- name: open_grant
-- A new grant; its transfer fills it.
INSERT INTO grants (id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                     $9::bigint[], $10::bigint[], $11::bigint[]);

-- name: book_transfer
-- A movement of money that is not a charge.
INSERT INTO transfers (id, kind, wallet, root, at, amount, legs, other_wallet, charge, note, command)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
                     $10::text[], $11::text[]);

-- name: publish_book
-- From this commit on, this version counts.
INSERT INTO books (version, published_at, note)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]);
