-- Usage, added up by the hour in the commit that writes, revises or refunds the charge: a question about a month of calls reads as many
-- rows for a million of them as for ten. A series is one mix of account, key, user, provider, model and route; its id is worked out from
-- these (`store/rollups.py`), so that nobody has to look it up. What belongs to a wallet is only added to under its lock.
--
-- Nothing is filled in: there were no charges in PostgreSQL before there was this.
--
-- No CHECKs: no guarantee rests on these sums, and a wrong one must not refuse a charge. `verify` compares them with the charges.

CREATE TABLE usage_hours (
  hour bigint NOT NULL,
  series bytea NOT NULL,
  account text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  "user" text COLLATE "C" NOT NULL,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  route text COLLATE "C" NOT NULL,
  calls bigint NOT NULL,
  released bigint NOT NULL,
  price bigint NOT NULL,
  paid bigint NOT NULL,
  written_off bigint NOT NULL,
  cost bigint NOT NULL,
  list_cost bigint NOT NULL,
  refunded bigint NOT NULL,
  tokens bigint NOT NULL,
  PRIMARY KEY (hour, series)
) WITH (fillfactor = 70);
CREATE INDEX usage_hours_key ON usage_hours (key, hour);

-- What is counted by name: `u` and a unit: how much of it; `f` or `t` and microseconds: how many calls took so long to their first byte, or
-- in all. Times are rounded to two digits (10, 11 … 20, 22 … 50, 55 … 100), none by more than 5 %, so that there are few names.
CREATE TABLE usage_counts (
  hour bigint NOT NULL,
  series bytea NOT NULL,
  name text COLLATE "C" NOT NULL,
  quantity bigint NOT NULL,
  PRIMARY KEY (hour, series, name)
) WITH (fillfactor = 70);

-- What each charge adds to its hour: the hour in which its money was set aside.
CREATE VIEW charge_usage AS
SELECT c.hold_id AS hold_id, h.created_at AS at, h.created_at - h.created_at % 3600000000 AS hour, c.account AS account, c.key AS key,
       h."user" AS "user", c.provider AS provider, c.model AS model, c.route AS route, c.status AS status, h.run AS run, h.tags AS tags,
       (c.outcome <> 'released')::int::bigint AS calls, (c.outcome = 'released')::int::bigint AS released, c.price AS price,
       c.paid AS paid, c.written_off AS written_off, c.cost AS cost, c.list_cost AS list_cost, c.refunded AS refunded,
       c.tokens AS tokens, c.usage AS usage,
       (SELECT (us + step / 2) / step * step FROM (
          SELECT us, CASE WHEN us < 20 * place THEN place WHEN us < 50 * place THEN 2 * place ELSE 5 * place END AS step FROM (
            SELECT us, substr('100000000000000000', 1, greatest(length(us::text) - 1, 1))::bigint AS place FROM (
              SELECT (c.timings::json ->> 'first_byte_us')::bigint AS us) AS t) AS p) AS s WHERE us > 0) AS first_byte_us,
       (SELECT (us + step / 2) / step * step FROM (
          SELECT us, CASE WHEN us < 20 * place THEN place WHEN us < 50 * place THEN 2 * place ELSE 5 * place END AS step FROM (
            SELECT us, substr('100000000000000000', 1, greatest(length(us::text) - 1, 1))::bigint AS place FROM (
              SELECT (c.timings::json ->> 'last_byte_us')::bigint AS us) AS t) AS p) AS s WHERE us > 0) AS total_us
FROM charges AS c JOIN holds AS h ON h.id = c.hold_id;
