-- name: clear_unpublished_models
-- What a process that died while publishing left behind.
DELETE FROM models AS r USING unnest($1::bigint[]) AS c (version) WHERE r.since >= c.version;

-- name: reopen_models
-- And what it had ended.
UPDATE models AS r SET until = NULL FROM unnest($1::bigint[]) AS c (version) WHERE r.until >= c.version;

-- name: clear_unpublished_prices
-- What a process that died while publishing left behind.
DELETE FROM prices AS r USING unnest($1::bigint[]) AS c (version) WHERE r.since >= c.version;

-- name: reopen_prices
-- And what it had ended.
UPDATE prices AS r SET until = NULL FROM unnest($1::bigint[]) AS c (version) WHERE r.until >= c.version;

-- name: end_model
-- From this version on, the row is no longer part of the book.
UPDATE models AS r SET until = c.version
FROM unnest($1::bigint[], $2::text[], $3::text[])
  AS c (version, provider, model)
WHERE r.provider = c.provider AND r.model = c.model AND r.until IS NULL;

-- name: add_model
-- A model of this version and those after it.
INSERT INTO models (provider, model, since, until, names, context_tokens_max, output_tokens_max, kind)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::text[]);

-- name: end_price
-- From this version on, the row is no longer part of the book.
UPDATE prices AS r SET until = c.version
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bigint[],
            $11::bigint[], $12::bigint[])
  AS c (version, scope, provider, model, unit, tier_above, service_tier, speed, geo, batch, valid_from, pico)
WHERE r.scope = c.scope AND r.provider = c.provider AND r.model = c.model AND r.unit = c.unit AND r.tier_above = c.tier_above
  AND r.service_tier = c.service_tier AND r.speed = c.speed AND r.geo = c.geo AND r.batch = c.batch AND r.valid_from = c.valid_from
  AND r.pico = c.pico AND r.until IS NULL;

-- name: add_price
-- A price of this version and those after it. Their ids are in this order.
INSERT INTO prices (scope, since, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to, source,
                    checked_at)
SELECT scope, since, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to, source, checked_at
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::bigint[],
            $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bigint[])
  WITH ORDINALITY
  AS c (scope, since, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to,
                          source, checked_at, ordinality)
ORDER BY ordinality;

-- name: recheck_prices
-- The prices of a scope were compared with their source and still stand.
UPDATE prices AS r SET checked_at = greatest(r.checked_at, c.checked_at) FROM unnest($1::text[], $2::bigint[]) AS c (scope, checked_at)
WHERE r.scope = c.scope AND r.until IS NULL;
