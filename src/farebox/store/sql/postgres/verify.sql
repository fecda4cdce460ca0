-- name: verify_grants_amount
-- A grant's amount is the sum of its transfers' legs; what expired, the sum of its expiry legs.
WITH legs AS (
  SELECT leg ->> 0 AS grant_id, sum(CASE WHEN t.kind = 'expiry' THEN 0 ELSE (leg ->> 1)::bigint END)::bigint AS amount,
         sum(CASE WHEN t.kind = 'expiry' THEN (leg ->> 1)::bigint ELSE 0 END)::bigint AS expired
  FROM transfers AS t, json_array_elements(t.legs::json) AS leg GROUP BY 1)
SELECT g.id, g.amount, coalesce(l.amount, 0), g.expired, coalesce(l.expired, 0)
FROM grants AS g LEFT JOIN legs AS l ON l.grant_id = g.id
WHERE g.amount <> coalesce(l.amount, 0) OR g.expired <> coalesce(l.expired, 0)
ORDER BY g.id;

-- name: verify_grants_spent
-- A grant's spent is the sum of the legs of charges.
WITH legs AS (
  SELECT (leg ->> 0) COLLATE "C" AS grant_id, sum((leg ->> 1)::bigint)::bigint AS spent
  FROM charges AS c, json_array_elements(c.legs::json) AS leg GROUP BY 1)
SELECT g.id, g.spent, coalesce(l.spent, 0) FROM grants AS g LEFT JOIN legs AS l ON l.grant_id = g.id WHERE g.spent <> coalesce(l.spent, 0)
UNION ALL
SELECT l.grant_id, NULL, l.spent FROM legs AS l WHERE NOT EXISTS (SELECT 1 FROM grants AS g WHERE g.id = l.grant_id)
ORDER BY 1;

-- name: verify_grants_held
-- A grant's held is the sum of the legs of open holds.
WITH legs AS (
  SELECT (leg ->> 0) COLLATE "C" AS grant_id, sum((leg ->> 1)::bigint)::bigint AS held
  FROM holds AS h, json_array_elements(h.legs::json) AS leg WHERE h.state = 'open' GROUP BY 1)
SELECT g.id, g.held, coalesce(l.held, 0) FROM grants AS g LEFT JOIN legs AS l ON l.grant_id = g.id WHERE g.held <> coalesce(l.held, 0)
UNION ALL
SELECT l.grant_id, NULL, l.held FROM legs AS l WHERE NOT EXISTS (SELECT 1 FROM grants AS g WHERE g.id = l.grant_id)
ORDER BY 1;

-- name: verify_grants_cover
-- No grant gives more than is in it.
SELECT id, amount, spent, held, expired FROM grants
WHERE amount - spent - held - expired < 0 OR spent < 0 OR held < 0 OR expired < 0
ORDER BY id;

-- name: verify_hold_legs
-- A hold is set aside whole: its legs add up to its amount.
SELECT h.id, h.amount, l.leg_sum
FROM holds AS h
CROSS JOIN LATERAL (SELECT coalesce(sum((leg ->> 1)::bigint), 0)::bigint FROM json_array_elements(h.legs::json) AS leg) AS l (leg_sum)
WHERE h.amount <> l.leg_sum ORDER BY h.id;

-- name: verify_hold_charges
-- Every hold that ended has exactly one charge, an open one none, and no charge is without a hold.
SELECT h.id, h.state, 'charge missing' FROM holds AS h LEFT JOIN charges AS c ON c.hold_id = h.id WHERE h.state <> 'open' AND c.hold_id IS NULL
UNION ALL
SELECT h.id, h.state, 'charged while open' FROM holds AS h JOIN charges AS c ON c.hold_id = h.id WHERE h.state = 'open'
UNION ALL
SELECT c.hold_id, '', 'hold missing' FROM charges AS c LEFT JOIN holds AS h ON h.id = c.hold_id WHERE h.id IS NULL
ORDER BY 1;

-- name: verify_charges
-- paid + written off = price; the legs add up to what was paid; a released hold costs nothing.
SELECT c.hold_id, c.price, c.paid, c.written_off, l.leg_sum
FROM charges AS c JOIN holds AS h ON h.id = c.hold_id
CROSS JOIN LATERAL (SELECT coalesce(sum((leg ->> 1)::bigint), 0)::bigint FROM json_array_elements(c.legs::json) AS leg) AS l (leg_sum)
WHERE c.paid + c.written_off <> c.price OR c.paid <> l.leg_sum OR c.price < 0 OR c.paid < 0 OR c.written_off < 0
   OR (h.state = 'released' AND c.price <> 0)
ORDER BY c.hold_id;

-- name: verify_background
-- Every open hold of the background can be settled by whoever asks next, and nothing else waits to be.
SELECT h.id, h.state, 'nobody would ask' FROM holds AS h LEFT JOIN background AS b ON b.hold_id = h.id
WHERE h.state = 'open' AND h.owner = 'background' AND b.hold_id IS NULL
UNION ALL
SELECT b.hold_id, coalesce(h.state, ''), 'nothing to settle' FROM background AS b LEFT JOIN holds AS h ON h.id = b.hold_id
WHERE h.id IS NULL OR h.state <> 'open' OR h.owner <> 'background' OR h.provider <> b.provider
ORDER BY 1;

-- name: verify_objects
-- A stored object belongs to the account of the key that made it.
SELECT o.provider, o.id, o.account, k.account FROM objects AS o LEFT JOIN keys AS k ON k.id = o.key
WHERE k.account IS DISTINCT FROM o.account
ORDER BY 1, 2;

-- name: verify_refunds
-- What was given back of a charge is the sum of its refunds, and at most what was paid.
SELECT c.hold_id, c.paid, c.refunded, coalesce(sum(t.amount), 0)::bigint AS refunds
FROM charges AS c LEFT JOIN transfers AS t ON t.charge = c.hold_id AND t.kind = 'refund'
WHERE c.refunded > 0 OR t.id IS NOT NULL
GROUP BY c.hold_id HAVING c.refunded <> coalesce(sum(t.amount), 0) OR c.refunded > c.paid
ORDER BY c.hold_id;

-- name: verify_transfers
-- The legs of a transfer add up to its amount; those of a move to nothing.
SELECT t.id, t.kind, t.amount, l.leg_sum
FROM transfers AS t
CROSS JOIN LATERAL (SELECT coalesce(sum((leg ->> 1)::bigint), 0)::bigint FROM json_array_elements(t.legs::json) AS leg) AS l (leg_sum)
WHERE l.leg_sum <> CASE WHEN t.kind = 'move' THEN 0 ELSE t.amount END ORDER BY t.id;

-- name: verify_windows_held
-- A window's held is the sum of the open holds counted in it, in every measure.
WITH counted AS (
  SELECT (w ->> 0) COLLATE "C" AS counter, (w ->> 1)::bigint AS start, sum(h.amount)::bigint AS price, sum(h.cost_bound)::bigint AS cost,
         sum(h.tokens_bound)::bigint AS tokens, count(*) AS requests
  FROM holds AS h, json_array_elements(h.windows::json) AS w WHERE h.state = 'open' GROUP BY 1, 2)
SELECT w.counter, w.start, w.price_held, coalesce(c.price, 0), w.cost_held, coalesce(c.cost, 0), w.tokens_held, coalesce(c.tokens, 0),
       w.requests_held, coalesce(c.requests, 0)
FROM windows AS w LEFT JOIN counted AS c ON c.counter = w.counter AND c.start = w.start
WHERE w.price_held <> coalesce(c.price, 0) OR w.cost_held <> coalesce(c.cost, 0) OR w.tokens_held <> coalesce(c.tokens, 0)
   OR w.requests_held <> coalesce(c.requests, 0)
UNION ALL
SELECT c.counter, c.start, NULL, c.price, NULL, c.cost, NULL, c.tokens, NULL, c.requests
FROM counted AS c WHERE NOT EXISTS (SELECT 1 FROM windows AS w WHERE w.counter = c.counter AND w.start = c.start)
ORDER BY 1, 2;

-- name: verify_windows_spent
-- A window's spent is the sum of the charges counted in it, and of what it was filled with when its counter began.
WITH counted AS (
  SELECT (w ->> 0) COLLATE "C" AS counter, (w ->> 1)::bigint AS start, c.price AS price, c.cost AS cost, c.tokens AS tokens,
         CASE WHEN c.outcome = 'released' THEN 0 ELSE 1 END AS requests
  FROM charges AS c JOIN holds AS h ON h.id = c.hold_id, json_array_elements(h.windows::json) AS w
  UNION ALL
  SELECT counter, start, price, cost, tokens, requests FROM window_backfills),
summed AS (
  SELECT counter, start, sum(price)::bigint AS price, sum(cost)::bigint AS cost, sum(tokens)::bigint AS tokens, sum(requests)::bigint AS requests
  FROM counted GROUP BY 1, 2)
SELECT w.counter, w.start, w.price_spent, coalesce(s.price, 0), w.cost_spent, coalesce(s.cost, 0), w.tokens_spent, coalesce(s.tokens, 0),
       w.requests_spent, coalesce(s.requests, 0)
FROM windows AS w LEFT JOIN summed AS s ON s.counter = w.counter AND s.start = w.start
WHERE w.price_spent <> coalesce(s.price, 0) OR w.cost_spent <> coalesce(s.cost, 0) OR w.tokens_spent <> coalesce(s.tokens, 0)
   OR w.requests_spent <> coalesce(s.requests, 0)
UNION ALL
SELECT s.counter, s.start, NULL, s.price, NULL, s.cost, NULL, s.tokens, NULL, s.requests
FROM summed AS s WHERE NOT EXISTS (SELECT 1 FROM windows AS w WHERE w.counter = s.counter AND w.start = s.start)
ORDER BY 1, 2;

-- name: verify_roots
-- Nothing a request touches lies under another root.
SELECT h.id, h.root, a.root, w.root FROM holds AS h JOIN accounts AS a ON a.id = h.account
LEFT JOIN accounts AS w ON w.id = h.wallet
WHERE h.root <> a.root OR w.root IS DISTINCT FROM h.root
ORDER BY h.id;

-- name: verify_usage_sums
-- What was added up by the hour is the sum of its charges. Shown is by how much it is too high.
SELECT hour, account, key, "user", provider, model, route, sum(calls)::bigint, sum(released)::bigint, sum(price)::bigint, sum(paid)::bigint,
       sum(written_off)::bigint, sum(cost)::bigint, sum(list_cost)::bigint, sum(refunded)::bigint, sum(tokens)::bigint
FROM (
  SELECT hour, account, key, "user", provider, model, route, calls, released, price, paid, written_off, cost, list_cost, refunded, tokens
  FROM usage_hours
  UNION ALL
  SELECT hour, account, key, "user", provider, model, route, -calls, -released, -price, -paid, -written_off, -cost, -list_cost, -refunded,
         -tokens
  FROM charge_usage) AS both_sides
GROUP BY hour, account, key, "user", provider, model, route
HAVING sum(calls) <> 0 OR sum(released) <> 0 OR sum(price) <> 0 OR sum(paid) <> 0 OR sum(written_off) <> 0 OR sum(cost) <> 0
    OR sum(list_cost) <> 0 OR sum(refunded) <> 0 OR sum(tokens) <> 0
ORDER BY hour, account, key, "user", provider, model, route;

-- name: verify_usage_counts
-- The same for units and times.
WITH told AS MATERIALIZED (
  SELECT hour, account, key, "user", provider, model, route, usage, first_byte_us, total_us FROM charge_usage)
SELECT hour, account, key, "user", provider, model, route, name, sum(quantity)::bigint
FROM (
  SELECT n.hour AS hour, u.account AS account, u.key AS key, u."user" AS "user", u.provider AS provider, u.model AS model, u.route AS route,
         n.name AS name, n.quantity AS quantity
  FROM usage_counts AS n LEFT JOIN usage_hours AS u ON u.hour = n.hour AND u.series = n.series
  UNION ALL
  SELECT c.hour, c.account, c.key, c."user", c.provider, c.model, c.route, ('u' || n.key) COLLATE "C", -n.value::bigint
  FROM told AS c, json_each_text(c.usage::json -> 'units') AS n (key, value)
  UNION ALL
  SELECT hour, account, key, "user", provider, model, route, 'f' || first_byte_us, -1 FROM told WHERE first_byte_us IS NOT NULL
  UNION ALL
  SELECT hour, account, key, "user", provider, model, route, 't' || total_us, -1 FROM told WHERE total_us IS NOT NULL) AS both_sides
GROUP BY hour, account, key, "user", provider, model, route, name HAVING sum(quantity) <> 0
ORDER BY hour, account, key, "user", provider, model, route, name;

-- name: verify_counts
-- How much was looked at.
SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM keys), (SELECT count(*) FROM grants), (SELECT count(*) FROM transfers),
       (SELECT count(*) FROM holds), (SELECT count(*) FROM holds WHERE state = 'open'), (SELECT count(*) FROM charges),
       (SELECT count(*) FROM windows);

-- name: verify_sums
-- How much money, over all wallets. In two halves each, because together it can be more than a column holds.
SELECT sum(amount >> 32)::bigint, sum(amount & 4294967295)::bigint, sum(spent >> 32)::bigint, sum(spent & 4294967295)::bigint,
       sum(held >> 32)::bigint, sum(held & 4294967295)::bigint, sum(expired >> 32)::bigint, sum(expired & 4294967295)::bigint,
       (SELECT sum(written_off >> 32)::bigint FROM charges), (SELECT sum(written_off & 4294967295)::bigint FROM charges)
FROM grants;
