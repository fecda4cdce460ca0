-- name: clear_unpublished_models
-- What a process that died while publishing left behind.
DELETE FROM models WHERE since >= ?1;

-- name: reopen_models
-- And what it had ended.
UPDATE models SET until = NULL WHERE until >= ?1;

-- name: clear_unpublished_prices
-- What a process that died while publishing left behind.
DELETE FROM prices WHERE since >= ?1;

-- name: reopen_prices
-- And what it had ended.
UPDATE prices SET until = NULL WHERE until >= ?1;

-- name: end_model
-- From this version on, the row is no longer part of the book.
UPDATE models SET until = ?1 WHERE provider = ?2 AND model = ?3 AND until IS NULL;

-- name: add_model
-- A model of this version and those after it.
INSERT INTO models (provider, model, since, until, names, context_tokens_max, output_tokens_max, kind) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: end_price
-- From this version on, the row is no longer part of the book.
UPDATE prices SET until = ?1
WHERE scope = ?2 AND provider = ?3 AND model = ?4 AND unit = ?5 AND tier_above = ?6 AND service_tier = ?7 AND speed = ?8 AND geo = ?9
  AND batch = ?10 AND valid_from = ?11 AND pico = ?12 AND until IS NULL;

-- name: add_price
-- A price of this version and those after it.
INSERT INTO prices (scope, since, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to, source,
                    checked_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: recheck_prices
-- The prices of a scope were compared with their source and still stand.
UPDATE prices SET checked_at = max(checked_at, ?2) WHERE scope = ?1 AND until IS NULL;
