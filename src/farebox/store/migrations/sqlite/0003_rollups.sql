-- Usage, added up by the hour in the commit that writes, revises or refunds the charge: a question about a month of calls reads as many
-- rows for a million of them as for ten. A series is one mix of account, key, user, provider, model and route; its id is worked out from
-- these (`store/rollups.py`; the function of that name is there while a schema is changed), so that nobody has to look it up.
--
-- No CHECKs: no guarantee rests on these sums, and a wrong one must not refuse a charge. `verify` compares them with the charges.

CREATE TABLE usage_hours (
  hour INTEGER NOT NULL,
  series BLOB NOT NULL,
  account TEXT NOT NULL,
  key TEXT NOT NULL,
  user TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  route TEXT NOT NULL,
  calls INTEGER NOT NULL,
  released INTEGER NOT NULL,
  price INTEGER NOT NULL,
  paid INTEGER NOT NULL,
  written_off INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  list_cost INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (hour, series)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hours_key ON usage_hours (key, hour);

-- What is counted by name: `u` and a unit: how much of it; `f` or `t` and microseconds: how many calls took so long to their first byte, or
-- in all. Times are rounded to two digits (10, 11 … 20, 22 … 50, 55 … 100), none by more than 5 %, so that there are few names.
CREATE TABLE usage_counts (
  hour INTEGER NOT NULL,
  series BLOB NOT NULL,
  name TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  PRIMARY KEY (hour, series, name)
) STRICT, WITHOUT ROWID;

-- What each charge adds to its hour: the hour in which its money was set aside.
CREATE VIEW charge_usage AS
SELECT c.hold_id AS hold_id, h.created_at AS at, h.created_at - h.created_at % 3600000000 AS hour, c.account AS account, c.key AS key,
       h.user AS user, c.provider AS provider, c.model AS model, c.route AS route, c.status AS status, h.run AS run, h.tags AS tags,
       c.outcome <> 'released' AS calls, c.outcome = 'released' AS released, c.price AS price, c.paid AS paid,
       c.written_off AS written_off, c.cost AS cost, c.list_cost AS list_cost, c.refunded AS refunded, c.tokens AS tokens,
       c.usage AS usage,
       (SELECT (us + step / 2) / step * step FROM (
          SELECT us, CASE WHEN us < 20 * place THEN place WHEN us < 50 * place THEN 2 * place ELSE 5 * place END AS step FROM (
            SELECT us, CAST(substr('100000000000000000', 1, max(length(us) - 1, 1)) AS INTEGER) AS place FROM (
              SELECT c.timings ->> 'first_byte_us' AS us))) WHERE us > 0) AS first_byte_us,
       (SELECT (us + step / 2) / step * step FROM (
          SELECT us, CASE WHEN us < 20 * place THEN place WHEN us < 50 * place THEN 2 * place ELSE 5 * place END AS step FROM (
            SELECT us, CAST(substr('100000000000000000', 1, max(length(us) - 1, 1)) AS INTEGER) AS place FROM (
              SELECT c.timings ->> 'last_byte_us' AS us))) WHERE us > 0) AS total_us
FROM charges AS c JOIN holds AS h ON h.id = c.hold_id;

-- The charges that are there already.
INSERT INTO usage_hours
SELECT hour, usage_series(account, key, user, provider, model, route), account, key, user, provider, model, route,
       sum(calls), sum(released), sum(price), sum(paid), sum(written_off), sum(cost), sum(list_cost), sum(refunded), sum(tokens)
FROM charge_usage GROUP BY hour, account, key, user, provider, model, route;

INSERT INTO usage_counts
WITH told AS MATERIALIZED (
  SELECT hour, usage_series(account, key, user, provider, model, route) AS series, usage, first_byte_us, total_us FROM charge_usage)
SELECT hour, series, name, sum(quantity) FROM (
  SELECT c.hour AS hour, c.series AS series, 'u' || n.key AS name, n.value AS quantity
  FROM told AS c, json_each(c.usage, '$.units') AS n
  UNION ALL SELECT hour, series, 'f' || first_byte_us, 1 FROM told WHERE first_byte_us IS NOT NULL
  UNION ALL SELECT hour, series, 't' || total_us, 1 FROM told WHERE total_us IS NOT NULL)
GROUP BY hour, series, name;
