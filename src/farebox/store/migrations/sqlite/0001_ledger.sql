-- The ledger's first schema. Money in nano-dollars, prices in pico-dollars per unit, times in microseconds since 1970 UTC.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  id TEXT PRIMARY KEY,
  root TEXT NOT NULL,
  wallet TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  parent TEXT REFERENCES accounts (id),
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  external_id TEXT UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'closed')),
  status_why TEXT NOT NULL,
  status_since INTEGER NOT NULL,
  markup_basis_points INTEGER,
  markup_fixed_nano INTEGER,
  metadata TEXT NOT NULL,
  rev INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_parent ON accounts (parent);

CREATE TABLE keys (
  id TEXT PRIMARY KEY,
  account TEXT NOT NULL REFERENCES accounts (id),
  root TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'paused', 'revoked')),
  status_why TEXT NOT NULL,
  status_since INTEGER NOT NULL,
  expires_at INTEGER,
  models TEXT NOT NULL,
  clamp TEXT NOT NULL CHECK (clamp IN ('never', 'unnamed', 'always')),
  default_max_output_tokens INTEGER,
  unknown_fields TEXT NOT NULL,
  requests_per_minute INTEGER,
  tokens_per_minute INTEGER,
  concurrent INTEGER,
  tags TEXT NOT NULL,
  metadata TEXT NOT NULL,
  markup_basis_points INTEGER,
  markup_fixed_nano INTEGER,
  limit_reset TEXT,
  rev INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_account ON keys (account);

CREATE TABLE admin_keys (
  hash TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  scope TEXT REFERENCES accounts (id),
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
  id TEXT PRIMARY KEY,
  scope TEXT NOT NULL,
  time_window TEXT NOT NULL,
  timezone TEXT NOT NULL,
  filter TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_scope ON counters (scope);

CREATE TABLE budgets (
  scope TEXT PRIMARY KEY,
  budgets TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
  counter TEXT NOT NULL,
  start INTEGER NOT NULL,
  price_held INTEGER NOT NULL DEFAULT 0 CHECK (price_held >= 0),
  cost_held INTEGER NOT NULL DEFAULT 0 CHECK (cost_held >= 0),
  tokens_held INTEGER NOT NULL DEFAULT 0 CHECK (tokens_held >= 0),
  requests_held INTEGER NOT NULL DEFAULT 0 CHECK (requests_held >= 0),
  price_spent INTEGER NOT NULL DEFAULT 0 CHECK (price_spent >= 0),
  cost_spent INTEGER NOT NULL DEFAULT 0 CHECK (cost_spent >= 0),
  tokens_spent INTEGER NOT NULL DEFAULT 0 CHECK (tokens_spent >= 0),
  requests_spent INTEGER NOT NULL DEFAULT 0 CHECK (requests_spent >= 0),
  PRIMARY KEY (counter, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE window_backfills (
  counter TEXT NOT NULL,
  start INTEGER NOT NULL,
  price INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (counter, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
  id TEXT PRIMARY KEY,
  wallet TEXT NOT NULL REFERENCES accounts (id),
  kind TEXT NOT NULL CHECK (kind IN ('purchase', 'promotion', 'refund', 'adjustment')),
  created_at INTEGER NOT NULL,
  amount INTEGER NOT NULL DEFAULT 0,
  priority INTEGER NOT NULL,
  effective_at INTEGER NOT NULL,
  expires_at INTEGER,
  spent INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
  held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
  expired INTEGER NOT NULL DEFAULT 0 CHECK (expired >= 0),
  CHECK (amount - spent - held - expired >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_wallet ON grants (wallet);

CREATE TABLE holds (
  id TEXT PRIMARY KEY,
  request_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  key TEXT NOT NULL,
  account TEXT NOT NULL,
  root TEXT NOT NULL,
  wallet TEXT NOT NULL,
  amount INTEGER NOT NULL CHECK (amount >= 0),
  cost_bound INTEGER NOT NULL CHECK (cost_bound >= 0),
  tokens_bound INTEGER NOT NULL CHECK (tokens_bound >= 0),
  units INTEGER NOT NULL,
  asked INTEGER NOT NULL,
  legs TEXT NOT NULL,
  windows TEXT NOT NULL,
  book_version INTEGER NOT NULL,
  markup_basis_points INTEGER NOT NULL,
  markup_fixed_nano INTEGER NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  route TEXT NOT NULL,
  owner TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  run TEXT NOT NULL,
  user TEXT NOT NULL,
  tags TEXT NOT NULL,
  idempotency TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
  closed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_open ON holds (owner, deadline) WHERE state = 'open';

CREATE TABLE charges (
  hold_id TEXT PRIMARY KEY REFERENCES holds (id),
  request_id TEXT NOT NULL,
  key TEXT NOT NULL,
  account TEXT NOT NULL,
  root TEXT NOT NULL,
  wallet TEXT NOT NULL,
  at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  completeness TEXT NOT NULL CHECK (completeness IN ('exact', 'estimated', 'unknown')),
  price INTEGER NOT NULL CHECK (price >= 0),
  paid INTEGER NOT NULL CHECK (paid >= 0),
  written_off INTEGER NOT NULL CHECK (written_off >= 0),
  cost INTEGER NOT NULL CHECK (cost >= 0),
  list_cost INTEGER NOT NULL CHECK (list_cost >= 0),
  tokens INTEGER NOT NULL CHECK (tokens >= 0),
  legs TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  model_served TEXT NOT NULL,
  route TEXT NOT NULL,
  usage TEXT NOT NULL,
  lines TEXT NOT NULL,
  timings TEXT NOT NULL,
  flags TEXT NOT NULL,
  status INTEGER NOT NULL,
  upstream_request_id TEXT NOT NULL,
  refunded INTEGER NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= paid),
  revised INTEGER NOT NULL DEFAULT 0,
  CHECK (paid + written_off = price)
) STRICT, WITHOUT ROWID;

CREATE TABLE transfers (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('top_up', 'grant', 'move', 'refund', 'adjustment', 'expiry')),
  wallet TEXT NOT NULL REFERENCES accounts (id),
  root TEXT NOT NULL,
  at INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  legs TEXT NOT NULL,
  other_wallet TEXT,
  charge TEXT,
  note TEXT NOT NULL,
  command TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_wallet ON transfers (wallet, at);

CREATE TABLE replays (
  key TEXT NOT NULL,
  name TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  request_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done')),
  answer BLOB,
  PRIMARY KEY (key, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_created ON replays (created_at);

CREATE TABLE commands (
  id TEXT PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE processes (
  id TEXT PRIMARY KEY,
  started_at INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE books (
  version INTEGER PRIMARY KEY,
  published_at INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT;

-- A row is part of every version from `since` on, until (not including) `until`.
CREATE TABLE models (
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  names TEXT NOT NULL,
  context_tokens_max INTEGER,
  output_tokens_max INTEGER,
  kind TEXT NOT NULL,
  PRIMARY KEY (provider, model, since)
) STRICT, WITHOUT ROWID;

CREATE TABLE prices (
  id INTEGER PRIMARY KEY,
  scope TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  unit TEXT NOT NULL,
  tier_above INTEGER NOT NULL,
  service_tier TEXT NOT NULL,
  speed TEXT NOT NULL,
  geo TEXT NOT NULL,
  batch INTEGER NOT NULL,
  pico INTEGER NOT NULL CHECK (pico >= 0),
  valid_from INTEGER NOT NULL,
  valid_to INTEGER,
  source TEXT NOT NULL,
  checked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX prices_model ON prices (provider, model);
