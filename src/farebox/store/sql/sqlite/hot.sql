-- name: read_holds
-- Holds by id, in the order of their fields.
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, user, tags,
       idempotency, state, closed_at
FROM holds WHERE id IN (SELECT value FROM json_each(?));

-- name: read_hold
-- The same of one.
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, user, tags,
       idempotency, state, closed_at
FROM holds WHERE id = ?;

-- name: read_charges
-- Charges by their hold's id, in the order of their fields.
SELECT hold_id, request_id, key, account, root, wallet, at, outcome, completeness, price, paid, written_off, cost, list_cost, tokens,
       legs, provider, model, model_served, route, usage, lines, timings, flags, status, upstream_request_id, refunded, revised
FROM charges WHERE hold_id IN (SELECT value FROM json_each(?));

-- name: read_revisions
-- The revisions of keys and accounts.
SELECT id, rev FROM keys WHERE id IN (SELECT value FROM json_each(?1))
UNION ALL
SELECT id, rev FROM accounts WHERE id IN (SELECT value FROM json_each(?1));

-- name: read_drawable
-- The grants of wallets that can still be drawn, or give back.
SELECT id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired
FROM grants WHERE wallet IN (SELECT value FROM json_each(?)) AND (amount - spent - expired > 0);

-- name: read_windows
-- Windows by counter and start.
SELECT w.counter, w.start, w.price_held, w.cost_held, w.tokens_held, w.requests_held,
       w.price_spent, w.cost_spent, w.tokens_spent, w.requests_spent
FROM json_each(?) AS asked JOIN windows AS w ON w.counter = asked.value ->> 0 AND w.start = asked.value ->> 1;

-- name: read_ring
-- The sub-windows of a rolling counter from a start on.
SELECT counter, start, price_held, cost_held, tokens_held, requests_held, price_spent, cost_spent, tokens_spent, requests_spent
FROM windows WHERE counter = ? AND start >= ?;

-- name: read_replay
-- What is known of one Idempotency-Key.
SELECT key, name, fingerprint, request_id, created_at, state, answer FROM replays WHERE key = ? AND name = ?;

-- name: read_commands
-- What outside commands were and what they came to.
SELECT id, fingerprint, outcome, at FROM commands WHERE id IN (SELECT value FROM json_each(?));

-- name: read_book_version
-- The version of the price book that counts.
SELECT coalesce(max(version), 0) FROM books;

-- name: read_clock
-- The latest moment any batch was decided at.
SELECT value FROM meta WHERE name = 'clock';

-- name: write_clock
-- Time never goes back, even if the machine's clock does.
INSERT INTO meta VALUES ('clock', ?1) ON CONFLICT DO UPDATE SET value = ?1;

-- name: open_hold
-- A new hold, in the order of the table's columns.
INSERT INTO holds
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: close_hold
-- Only an open hold can be closed.
UPDATE holds SET state = ?2, closed_at = ?3 WHERE id = ?1 AND state = 'open';

-- name: grow_hold
-- An extended hold.
UPDATE holds SET amount = amount + ?2, cost_bound = cost_bound + ?3, tokens_bound = tokens_bound + ?4, units = units + ?5, legs = ?6,
                 deadline = ?7
WHERE id = ?1 AND state = 'open';

-- name: count_hold
-- A counter that was made while the hold was open counts it too.
UPDATE holds SET windows = json_insert(windows, '$[#]', json_array(?2, ?3)) WHERE id = ?1;

-- name: write_charge
-- The one charge of a hold, in the order of the table's columns.
INSERT INTO charges
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: revise_charge
-- The truth about a provisional charge, once.
UPDATE charges SET outcome = ?2, completeness = ?3, price = ?4, paid = ?5, written_off = ?6, cost = ?7, list_cost = ?8, tokens = ?9,
                   legs = ?10, model_served = ?11, usage = ?12, lines = ?13, timings = ?14, flags = ?15, status = ?16,
                   upstream_request_id = ?17, revised = 1
WHERE hold_id = ?1 AND revised = 0;

-- name: refund_charge
-- What was given back of a charge.
UPDATE charges SET refunded = refunded + ?2 WHERE hold_id = ?1;

-- name: change_grant
-- Relative: the checks of the table hold at every commit.
UPDATE grants SET amount = amount + ?2, spent = spent + ?3, held = held + ?4, expired = expired + ?5 WHERE id = ?1;

-- name: make_window
-- An empty window, if it is not there.
INSERT OR IGNORE INTO windows (counter, start) VALUES (?, ?);

-- name: change_window
-- Relative: the checks of the table hold at every commit.
UPDATE windows SET price_held = price_held + ?3, cost_held = cost_held + ?4, tokens_held = tokens_held + ?5,
                   requests_held = requests_held + ?6, price_spent = price_spent + ?7, cost_spent = cost_spent + ?8,
                   tokens_spent = tokens_spent + ?9, requests_spent = requests_spent + ?10
WHERE counter = ?1 AND start = ?2;

-- name: open_replay
-- An Idempotency-Key is taken by a request, or kept by its next attempt.
INSERT INTO replays (key, name, fingerprint, request_id, created_at, state, answer) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key, name) DO UPDATE SET state = excluded.state, answer = excluded.answer;

-- name: close_replay
-- The request that took it was answered, or charged. What was recorded of its answer before stays, where nothing newer is.
UPDATE replays SET state = 'done', answer = coalesce(?4, answer) WHERE key = ?1 AND name = ?2 AND request_id = ?3;

-- name: free_replay
-- The request that took it ended uncharged.
DELETE FROM replays WHERE key = ? AND name = ? AND request_id = ?;
