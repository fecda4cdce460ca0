-- name: read_holds
-- Holds by id, in the order of their fields.
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, "user", tags,
       idempotency, state, closed_at
FROM holds WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)))
ORDER BY id;

-- name: read_hold
-- The same of one.
SELECT id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
       book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, "user", tags,
       idempotency, state, closed_at
FROM holds WHERE id = $1;

-- name: read_charges
-- Charges by their hold's id, in the order of their fields.
SELECT hold_id, request_id, key, account, root, wallet, at, outcome, completeness, price, paid, written_off, cost, list_cost, tokens,
       legs, provider, model, model_served, route, usage, lines, timings, flags, status, upstream_request_id, refunded, revised
FROM charges WHERE hold_id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)))
ORDER BY hold_id;

-- name: read_revisions
-- The revisions of keys and accounts.
SELECT id, rev FROM keys WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)))
UNION ALL
SELECT id, rev FROM accounts WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)));

-- name: read_drawable
-- The grants of wallets that can still be drawn, or give back.
SELECT id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired
FROM grants WHERE wallet = ANY (ARRAY(SELECT json_array_elements_text($1::text::json))) AND (amount - spent - expired > 0)
ORDER BY wallet, id;

-- name: read_windows
-- Windows by counter and start.
SELECT w.counter, w.start, w.price_held, w.cost_held, w.tokens_held, w.requests_held,
       w.price_spent, w.cost_spent, w.tokens_spent, w.requests_spent
FROM json_array_elements($1::text::json) AS asked (ref)
JOIN windows AS w ON w.counter = asked.ref ->> 0 AND w.start = (asked.ref ->> 1)::bigint
ORDER BY w.counter, w.start;

-- name: read_ring
-- The sub-windows of a rolling counter from a start on.
SELECT counter, start, price_held, cost_held, tokens_held, requests_held, price_spent, cost_spent, tokens_spent, requests_spent
FROM windows WHERE counter = $1 AND start >= $2 ORDER BY start;

-- name: read_replay
-- What is known of one Idempotency-Key.
SELECT key, name, fingerprint, request_id, created_at, state, answer FROM replays WHERE key = $1 AND name = $2;

-- name: read_commands
-- What outside commands were and what they came to.
SELECT id, fingerprint, outcome, at FROM commands WHERE id = ANY (ARRAY(SELECT json_array_elements_text($1::text::json)));

-- name: read_book_version
-- The version of the price book that counts.
SELECT coalesce(max(version), 0) FROM books;

-- name: read_clock
-- The moment anything is decided at: the database's clock.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: write_clock
-- Nothing is kept: the time is the database's, and never a process's own.
SELECT $1::bigint;

-- name: open_hold
-- A new hold.
INSERT INTO holds (id, request_id, attempt, key, account, root, wallet, amount, cost_bound, tokens_bound, units, asked, legs, windows,
                   book_version, markup_basis_points, markup_fixed_nano, provider, model, route, owner, created_at, deadline, run, "user",
                   tags, idempotency, state, closed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
                     $10::bigint[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[],
                     $18::text[], $19::text[], $20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::text[],
                     $26::text[], $27::text[], $28::text[], $29::bigint[]);

-- name: close_hold
-- Only an open hold can be closed.
UPDATE holds AS h SET state = c.state, closed_at = c.closed_at
FROM unnest($1::text[], $2::text[], $3::bigint[])
  AS c (id, state, closed_at)
WHERE h.id = c.id AND h.state = 'open';

-- name: grow_hold
-- An extended hold.
UPDATE holds AS h SET amount = h.amount + c.price, cost_bound = h.cost_bound + c.cost, tokens_bound = h.tokens_bound + c.tokens,
                      units = h.units + c.units, legs = c.legs, deadline = c.deadline
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[])
  AS c (id, price, cost, tokens, units, legs, deadline)
WHERE h.id = c.id AND h.state = 'open';

-- name: count_hold
-- A counter that was made while the hold was open counts it too. Several of one hold are appended in their order.
UPDATE holds AS h SET windows = left(h.windows, -1) || CASE WHEN h.windows = '[]' THEN '' ELSE ',' END || c.refs || ']'
FROM (SELECT id, string_agg('[' || to_json(counter)::text || ',' || start || ']', ',' ORDER BY ordinality)
      FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS asked (id, counter, start, ordinality) GROUP BY id)
  AS c (id, refs)
WHERE h.id = c.id;

-- name: write_charge
-- The one charge of a hold.
INSERT INTO charges (hold_id, request_id, key, account, root, wallet, at, outcome, completeness, price, paid, written_off, cost,
                     list_cost, tokens, legs, provider, model, model_served, route, usage, lines, timings, flags, status,
                     upstream_request_id, refunded, revised)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[],
                     $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[],
                     $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::bigint[],
                     $26::text[], $27::bigint[], $28::bigint[]);

-- name: revise_charge
-- The truth about a provisional charge, once.
UPDATE charges AS r SET outcome = c.outcome, completeness = c.completeness, price = c.price, paid = c.paid, written_off = c.written_off,
                        cost = c.cost, list_cost = c.list_cost, tokens = c.tokens, legs = c.legs, model_served = c.model_served,
                        usage = c.usage, lines = c.lines, timings = c.timings, flags = c.flags, status = c.status,
                        upstream_request_id = c.upstream_request_id, revised = 1
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::text[])
  AS c (hold_id, outcome, completeness, price, paid, written_off, cost, list_cost, tokens, legs, model_served, usage, lines, timings,
        flags, status, upstream_request_id)
WHERE r.hold_id = c.hold_id AND r.revised = 0;

-- name: refund_charge
-- What was given back of a charge. An UPDATE takes one row for each charge, so rows of one are added up.
UPDATE charges AS r SET refunded = r.refunded + c.amount
FROM (SELECT hold_id, sum(amount)::bigint FROM unnest($1::text[], $2::bigint[]) AS asked (hold_id, amount) GROUP BY hold_id)
  AS c (hold_id, amount)
WHERE r.hold_id = c.hold_id;

-- name: change_grant
-- Relative: the checks of the table hold at every commit. Each grant once.
UPDATE grants AS g SET amount = g.amount + c.amount, spent = g.spent + c.spent, held = g.held + c.held, expired = g.expired + c.expired
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS c (id, amount, spent, held, expired)
WHERE g.id = c.id;

-- name: make_window
-- An empty window, if it is not there. Sorted, so that two processes cannot wait for each other.
INSERT INTO windows (counter, start)
SELECT counter, start FROM unnest($1::text[], $2::bigint[]) AS c (counter, start) ORDER BY counter COLLATE "C", start
ON CONFLICT DO NOTHING;

-- name: change_window
-- Relative: the checks of the table hold at every commit. Each window once.
UPDATE windows AS w SET price_held = w.price_held + c.price_held, cost_held = w.cost_held + c.cost_held, tokens_held = w.tokens_held +
                        c.tokens_held, requests_held = w.requests_held + c.requests_held, price_spent = w.price_spent + c.price_spent,
                        cost_spent = w.cost_spent + c.cost_spent, tokens_spent = w.tokens_spent + c.tokens_spent,
                        requests_spent = w.requests_spent + c.requests_spent
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[])
  AS c (counter, start, price_held, cost_held, tokens_held, requests_held, price_spent, cost_spent, tokens_spent, requests_spent)
WHERE w.counter = c.counter AND w.start = c.start;

-- name: open_replay
-- An Idempotency-Key is taken by a request, or kept by its next attempt. Of several rows with one name the last counts.
INSERT INTO replays (key, name, fingerprint, request_id, created_at, state, answer)
SELECT DISTINCT ON (key, name) key, name, fingerprint, request_id, created_at, state, answer
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])
  WITH ORDINALITY AS c (key, name, fingerprint, request_id, created_at, state, answer, ordinality)
ORDER BY key, name, ordinality DESC
ON CONFLICT (key, name) DO UPDATE SET state = excluded.state, answer = excluded.answer;

-- name: close_replay
-- The request that took it was answered, or charged. What was recorded of its answer before stays, where nothing newer is.
UPDATE replays AS r SET state = 'done', answer = coalesce(c.answer, r.answer)
FROM (SELECT DISTINCT ON (told.key, told.name, told.request_id) told.*
      FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS told (key, name, request_id, answer, number)
      ORDER BY told.key, told.name, told.request_id, told.answer IS NULL, told.number DESC) AS c
WHERE r.key = c.key AND r.name = c.name AND r.request_id = c.request_id;

-- name: free_replay
-- The request that took it ended uncharged.
DELETE FROM replays AS r USING unnest($1::text[], $2::text[], $3::text[]) AS c (key, name, request_id)
WHERE r.key = c.key AND r.name = c.name AND r.request_id = c.request_id;
