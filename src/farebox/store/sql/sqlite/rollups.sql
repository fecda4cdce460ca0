-- name: add_usage
-- What a batch adds to an hour of a series. Relative, as all shared numbers are.
INSERT INTO usage_hours
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
ON CONFLICT DO UPDATE SET calls = calls + ?9, released = released + ?10, price = price + ?11, paid = paid + ?12,
  written_off = written_off + ?13, cost = cost + ?14, list_cost = list_cost + ?15, refunded = refunded + ?16, tokens = tokens + ?17;

-- name: add_usage_counts
-- The same for units and times, by name.
INSERT INTO usage_counts VALUES (?, ?, ?, ?4) ON CONFLICT DO UPDATE SET quantity = quantity + ?4;

-- name: usage_rolled
-- Whole hours, as they were added up with the charges. A part of `usage_sums` and `usage_counts`.
SELECT u.hour AS at, u.hour AS hour, u.series AS series, u.account AS account, u.key AS key, u.user AS user, u.provider AS provider,
       u.model AS model, u.route AS route, NULL AS status, NULL AS run, NULL AS tags, NULL AS pinned, u.calls AS calls,
       u.released AS released, u.price AS price, u.paid AS paid, u.written_off AS written_off, u.cost AS cost, u.list_cost AS list_cost,
       u.refunded AS refunded, u.tokens AS tokens, NULL AS usage, NULL AS first_byte_us, NULL AS total_us
FROM usage_hours AS u WHERE u.hour >= :begins AND u.hour < :ends {of};

-- name: usage_scanned
-- Charges one by one: for what hours do not tell, and for parts of hours. A part of `usage_sums` and `usage_counts`.
SELECT u.at AS at, u.hour AS hour, NULL AS series, u.account AS account, u.key AS key, u.user AS user, u.provider AS provider,
       u.model AS model, u.route AS route, u.status AS status, u.run AS run, u.tags AS tags, k.tags AS pinned, u.calls AS calls,
       u.released AS released, u.price AS price, u.paid AS paid, u.written_off AS written_off, u.cost AS cost, u.list_cost AS list_cost,
       u.refunded AS refunded, u.tokens AS tokens, u.usage AS usage, u.first_byte_us AS first_byte_us, u.total_us AS total_us
FROM charge_usage AS u JOIN keys AS k ON k.id = u.key
WHERE u.hold_id >= :first AND u.hold_id < :last AND u.at >= :begins AND u.at < :ends {of};

-- name: usage_of_key
-- One key's usage. A part of `usage_rolled` and `usage_scanned`.
AND u.key = :key;

-- name: usage_of_account
-- The usage of an account with all below it. A key never changes its account.
AND u.key IN (SELECT k.id FROM keys AS k WHERE k.account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :account UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below));

-- name: usage_of_scope
-- The same for what an admin key may see.
AND u.key IN (SELECT k.id FROM keys AS k WHERE k.account IN (
  WITH RECURSIVE below (id) AS (
    SELECT :scope UNION SELECT a.id FROM accounts AS a JOIN below AS b ON a.parent = b.id) SELECT id FROM below));

-- name: usage_sums
-- Amounts and calls by group. A call that was released is counted apart.
WITH found AS ({found})
SELECT {dimensions}, sum(calls), sum(released), sum(price), sum(paid), sum(written_off), sum(cost), sum(list_cost), sum(refunded),
       sum(tokens)
FROM found GROUP BY {groups} ORDER BY {groups} LIMIT :rows OFFSET :offset;

-- name: usage_counts
-- Units and times of the same groups, by name.
WITH found AS ({found}),
chosen AS (SELECT {dimensions} FROM found GROUP BY {groups} ORDER BY {groups} LIMIT :rows OFFSET :offset),
named AS (
  SELECT {dimensions}, n.name AS name, n.quantity AS quantity
  FROM found JOIN usage_counts AS n ON n.hour = found.hour AND n.series = found.series
  UNION ALL SELECT {dimensions}, 'u' || n.key, n.value FROM found, json_each(found.usage, '$.units') AS n
  UNION ALL SELECT {dimensions}, 'f' || first_byte_us, 1 FROM found WHERE first_byte_us IS NOT NULL
  UNION ALL SELECT {dimensions}, 't' || total_us, 1 FROM found WHERE total_us IS NOT NULL)
SELECT {groups}, name, sum(quantity) AS quantity FROM named NATURAL JOIN chosen
GROUP BY {groups}, name HAVING sum(quantity) <> 0 ORDER BY {groups}, name;

-- name: usage_by_nothing
-- One group of all.
'';

-- name: usage_by_key
-- The key.
found.key;

-- name: usage_by_account
-- The account that the key belongs to.
found.account;

-- name: usage_by_user
-- Who the caller said that it was for.
found.user;

-- name: usage_by_model
-- The model asked for, with its provider.
found.provider || '/' || found.model;

-- name: usage_by_provider
-- Who answered.
found.provider;

-- name: usage_by_route
-- The route of the API.
found.route;

-- name: usage_by_status
-- The provider's HTTP status.
found.status;

-- name: usage_by_run
-- The agent run.
found.run;

-- name: usage_by_hour
-- The hour, UTC.
found.hour;

-- name: usage_by_day
-- The day, UTC.
found.at - found.at % 86400000000;

-- name: usage_by_tag
-- A tag: what is pinned on the key, else what the caller sent (`a=1,b=2`).
coalesce(found.pinned ->> ('$."' || :tag || '"'), CASE WHEN instr(',' || found.tags, ',' || :tag || '=') = 0 THEN '' ELSE
  substr(found.tags || ',', instr(',' || found.tags, ',' || :tag || '=') + length(:tag) + 1,
         instr(substr(found.tags || ',', instr(',' || found.tags, ',' || :tag || '=') + length(:tag) + 1), ',') - 1) END);
