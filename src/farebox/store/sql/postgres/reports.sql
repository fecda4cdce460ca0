-- name: report_path
-- The ids of an account and those above it.
WITH RECURSIVE path (id, parent) AS (
  SELECT id, parent FROM accounts WHERE id = :account::text
  UNION SELECT a.id, a.parent FROM accounts AS a JOIN path AS p ON a.id = p.parent)
SELECT id FROM path;

-- name: report_accounts
-- A page of accounts, by id. `scope` (or null: all) is an account with all below it.
SELECT id, root, wallet, created_at, parent, name, kind, external_id, status, status_why, status_since, markup_basis_points,
       markup_fixed_nano, metadata, rev
FROM accounts
WHERE id > :after::text AND (:parent::text IS NULL OR parent = :parent) AND (:scope::text IS NULL OR id IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY id LIMIT :rows::bigint;

-- name: report_keys
-- A page of keys, by id.
SELECT id, account, root, hash, label, created_at, name, status, status_why, status_since, expires_at, models, clamp,
       default_max_output_tokens, unknown_fields, requests_per_minute, tokens_per_minute, concurrent, tags, metadata,
       markup_basis_points, markup_fixed_nano, limit_reset, rev
FROM keys
WHERE id > :after::text AND (:account::text IS NULL OR account = :account)
  AND status = ANY (ARRAY(SELECT json_array_elements_text(:statuses::text::json)))
  AND (:scope::text IS NULL OR account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY id LIMIT :rows::bigint OFFSET :offset::bigint;

-- name: report_last_day
-- The start of the last day on which anything was held on a key.
SELECT max(start) FROM windows WHERE counter = $1;

-- name: report_last_used
-- When some keys were last used, within a stretch of ids and time.
SELECT key, max(created_at) FROM holds
WHERE id >= :first::text AND id < :last::text AND created_at >= :begins::bigint AND created_at < :ends::bigint
  AND key = ANY (ARRAY(SELECT json_array_elements_text(:keys::text::json)))
GROUP BY key ORDER BY key;

-- name: report_written_off
-- What could not be paid from a wallet.
SELECT coalesce(sum(written_off), 0)::bigint FROM charges WHERE wallet = $1 AND written_off > 0;

-- name: report_credits
-- What came in and what was spent, in all wallets of a scope.
SELECT coalesce(sum(amount), 0)::bigint, coalesce(sum(spent), 0)::bigint FROM grants WHERE :scope::text IS NULL OR wallet IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below);

-- name: report_charges
-- A page of charges with their holds, newest first.
SELECT c.hold_id, c.request_id, c.key, c.account, c.root, c.wallet, c.at, c.outcome, c.completeness, c.price, c.paid, c.written_off, c.cost,
       c.list_cost, c.tokens, c.legs, c.provider, c.model, c.model_served, c.route, c.usage, c.lines, c.timings, c.flags, c.status,
       c.upstream_request_id, c.refunded, c.revised,
       h.id, h.request_id, h.attempt, h.key, h.account, h.root, h.wallet, h.amount, h.cost_bound, h.tokens_bound, h.units, h.asked, h.legs,
       h.windows, h.book_version, h.markup_basis_points, h.markup_fixed_nano, h.provider, h.model, h.route, h.owner, h.created_at,
       h.deadline, h.run, h."user", h.tags, h.idempotency, h.state, h.closed_at
FROM charges AS c JOIN holds AS h ON h.id = c.hold_id
WHERE c.hold_id >= :first::text AND c.hold_id < :last::text AND h.created_at >= :begins::bigint AND h.created_at < :ends::bigint
  AND (:key::text IS NULL OR c.key = :key) AND (:account::text IS NULL OR c.account = :account)
  AND (:outcome::text IS NULL OR c.outcome = :outcome)
  AND (:scope::text IS NULL OR c.account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY c.hold_id DESC LIMIT :rows::bigint;

-- name: report_holds
-- A page of holds in any state, newest first.
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, "user", tags,
       idempotency, state, closed_at
FROM holds
WHERE id >= :first::text AND id < :last::text AND (:state::text IS NULL OR state = :state) AND (:key::text IS NULL OR key = :key)
  AND (:account::text IS NULL OR account = :account) AND (:scope::text IS NULL OR account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY id DESC LIMIT :rows::bigint;

-- name: report_open_holds
-- A page of open holds, newest first. They are few: read all first, or the planner may walk through every hold by id.
WITH open AS MATERIALIZED (SELECT * FROM holds WHERE state = 'open')
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, "user", tags,
       idempotency, state, closed_at
FROM open
WHERE id >= :first::text AND id < :last::text AND (:key::text IS NULL OR key = :key)
  AND (:account::text IS NULL OR account = :account) AND (:scope::text IS NULL OR account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY id DESC LIMIT :rows::bigint;

-- name: report_transfers
-- A page of transfers, newest first. Moves are shown on both sides.
SELECT id, kind, wallet, root, at, amount, legs, other_wallet, charge, note, command FROM transfers
WHERE (at < :before_at::bigint OR (at = :before_at::bigint AND id < :before_id::text)) AND (:kind::text IS NULL OR kind = :kind)
  AND (:account::text IS NULL OR wallet = :account::text OR other_wallet = :account) AND (:scope::text IS NULL OR wallet IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below)
  OR other_wallet IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope::text COLLATE "C" UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below))
ORDER BY at DESC, id DESC LIMIT :rows::bigint;

-- name: report_transfer
-- One transfer.
SELECT id, kind, wallet, root, at, amount, legs, other_wallet, charge, note, command FROM transfers WHERE id = $1;

-- name: report_request
-- The ids of a request's attempts.
SELECT id FROM holds WHERE id >= :first::text AND id < :last::text AND request_id = :request::text ORDER BY id;

-- name: report_book
-- One published version of the price book.
SELECT version, published_at, note FROM books WHERE version = $1;
