-- name: read_models_of_version
-- The models of a version of the price book.
SELECT provider, model, names, context_tokens_max, output_tokens_max, kind FROM models
WHERE since <= $1 AND (until IS NULL OR until > $1) ORDER BY provider, model;

-- name: read_prices_of_version
-- The prices of a version of the price book, own prices of accounts and keys with their scope.
SELECT scope, provider, model, unit, tier_above, service_tier, speed, geo, batch, pico, valid_from, valid_to, source, checked_at
FROM prices WHERE since <= $1 AND (until IS NULL OR until > $1) ORDER BY scope, provider, model, id;

-- name: read_key_windows
-- What the four windows of a key from birth hold and spent: the start of each is asked for.
SELECT counter, start, price_held, cost_held, tokens_held, requests_held, price_spent, cost_spent, tokens_spent, requests_spent
FROM windows WHERE counter = $1 AND start = $2;

-- name: read_wallet
-- All grants of a wallet.
SELECT id, wallet, kind, created_at, amount, priority, effective_at, expires_at, spent, held, expired FROM grants
WHERE wallet = $1 ORDER BY created_at, id;
