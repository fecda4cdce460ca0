-- The ledger's schema, as SQLite's: the same tables, columns in the same order, the same checks. Money in nano-dollars, prices in pico-dollars
-- per unit, times in microseconds since 1970 UTC. Text compares by its bytes, so that both databases sort, lock and page alike.
--
-- No foreign keys: the ledger's rules keep references (verify finds a broken one), and on the rows that every call touches each would cost a
-- look-up and a lock on the row referred to.
--
-- fillfactor: rows that are updated again and again leave room on their page. An update that changes no indexed column and finds room beside
-- the old version (HOT) touches no index, and the old version is cleared away by whoever reads the page next. So no index has a column that a
-- call changes. The one exception is the index of open holds: it must lose a hold that ends. The room there keeps a hold that ends on the page
-- that was dirty anyway, instead of dirtying a second one.

CREATE TABLE meta (
  name text COLLATE "C" PRIMARY KEY,
  value bigint NOT NULL
);

CREATE TABLE accounts (
  id text COLLATE "C" PRIMARY KEY,
  root text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  parent text COLLATE "C",
  name text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  external_id text COLLATE "C" UNIQUE,
  status text COLLATE "C" NOT NULL CHECK (status IN ('active', 'paused', 'closed')),
  status_why text COLLATE "C" NOT NULL,
  status_since bigint NOT NULL,
  markup_basis_points bigint,
  markup_fixed_nano bigint,
  metadata text COLLATE "C" NOT NULL,
  rev bigint NOT NULL
);
CREATE INDEX accounts_parent ON accounts (parent);

CREATE TABLE keys (
  id text COLLATE "C" PRIMARY KEY,
  account text COLLATE "C" NOT NULL,
  root text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL UNIQUE,
  label text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL CHECK (status IN ('active', 'paused', 'revoked')),
  status_why text COLLATE "C" NOT NULL,
  status_since bigint NOT NULL,
  expires_at bigint,
  models text COLLATE "C" NOT NULL,
  clamp text COLLATE "C" NOT NULL CHECK (clamp IN ('never', 'unnamed', 'always')),
  default_max_output_tokens bigint,
  unknown_fields text COLLATE "C" NOT NULL,
  requests_per_minute bigint,
  tokens_per_minute bigint,
  concurrent bigint,
  tags text COLLATE "C" NOT NULL,
  metadata text COLLATE "C" NOT NULL,
  markup_basis_points bigint,
  markup_fixed_nano bigint,
  limit_reset text COLLATE "C",
  rev bigint NOT NULL
);
CREATE INDEX keys_account ON keys (account);

CREATE TABLE admin_keys (
  hash text COLLATE "C" PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  name text COLLATE "C" NOT NULL,
  scope text COLLATE "C",
  created_at bigint NOT NULL,
  revoked_at bigint
);

CREATE TABLE counters (
  id text COLLATE "C" PRIMARY KEY,
  scope text COLLATE "C" NOT NULL,
  time_window text COLLATE "C" NOT NULL,
  timezone text COLLATE "C" NOT NULL,
  filter text COLLATE "C" NOT NULL
);
CREATE INDEX counters_scope ON counters (scope);

CREATE TABLE budgets (
  scope text COLLATE "C" PRIMARY KEY,
  budgets text COLLATE "C" NOT NULL
);

CREATE TABLE windows (
  counter text COLLATE "C" NOT NULL,
  start bigint NOT NULL,
  price_held bigint NOT NULL DEFAULT 0 CHECK (price_held >= 0),
  cost_held bigint NOT NULL DEFAULT 0 CHECK (cost_held >= 0),
  tokens_held bigint NOT NULL DEFAULT 0 CHECK (tokens_held >= 0),
  requests_held bigint NOT NULL DEFAULT 0 CHECK (requests_held >= 0),
  price_spent bigint NOT NULL DEFAULT 0 CHECK (price_spent >= 0),
  cost_spent bigint NOT NULL DEFAULT 0 CHECK (cost_spent >= 0),
  tokens_spent bigint NOT NULL DEFAULT 0 CHECK (tokens_spent >= 0),
  requests_spent bigint NOT NULL DEFAULT 0 CHECK (requests_spent >= 0),
  PRIMARY KEY (counter, start)
) WITH (fillfactor = 70);

CREATE TABLE window_backfills (
  counter text COLLATE "C" NOT NULL,
  start bigint NOT NULL,
  price bigint NOT NULL,
  cost bigint NOT NULL,
  tokens bigint NOT NULL,
  requests bigint NOT NULL,
  PRIMARY KEY (counter, start)
);

CREATE TABLE grants (
  id text COLLATE "C" PRIMARY KEY,
  wallet text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('purchase', 'promotion', 'refund', 'adjustment')),
  created_at bigint NOT NULL,
  amount bigint NOT NULL DEFAULT 0,
  priority bigint NOT NULL,
  effective_at bigint NOT NULL,
  expires_at bigint,
  spent bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
  held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
  expired bigint NOT NULL DEFAULT 0 CHECK (expired >= 0),
  CHECK (amount - spent - held - expired >= 0)
) WITH (fillfactor = 70);
CREATE INDEX grants_wallet ON grants (wallet);

CREATE TABLE holds (
  id text COLLATE "C" PRIMARY KEY,
  request_id text COLLATE "C" NOT NULL,
  attempt bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  root text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  amount bigint NOT NULL CHECK (amount >= 0),
  cost_bound bigint NOT NULL CHECK (cost_bound >= 0),
  tokens_bound bigint NOT NULL CHECK (tokens_bound >= 0),
  units bigint NOT NULL,
  asked bigint NOT NULL,
  legs text COLLATE "C" NOT NULL,
  windows text COLLATE "C" NOT NULL,
  book_version bigint NOT NULL,
  markup_basis_points bigint NOT NULL,
  markup_fixed_nano bigint NOT NULL,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  route text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  deadline bigint NOT NULL,
  run text COLLATE "C" NOT NULL,
  "user" text COLLATE "C" NOT NULL,
  tags text COLLATE "C" NOT NULL,
  idempotency text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('open', 'captured', 'released', 'expired')),
  closed_at bigint
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON holds (owner, deadline) WHERE state = 'open';

CREATE TABLE charges (
  hold_id text COLLATE "C" PRIMARY KEY,
  request_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  root text COLLATE "C" NOT NULL,
  wallet text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  outcome text COLLATE "C" NOT NULL,
  completeness text COLLATE "C" NOT NULL CHECK (completeness IN ('exact', 'estimated', 'unknown')),
  price bigint NOT NULL CHECK (price >= 0),
  paid bigint NOT NULL CHECK (paid >= 0),
  written_off bigint NOT NULL CHECK (written_off >= 0),
  cost bigint NOT NULL CHECK (cost >= 0),
  list_cost bigint NOT NULL CHECK (list_cost >= 0),
  tokens bigint NOT NULL CHECK (tokens >= 0),
  legs text COLLATE "C" NOT NULL,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  model_served text COLLATE "C" NOT NULL,
  route text COLLATE "C" NOT NULL,
  usage text COLLATE "C" NOT NULL,
  lines text COLLATE "C" NOT NULL,
  timings text COLLATE "C" NOT NULL,
  flags text COLLATE "C" NOT NULL,
  status bigint NOT NULL,
  upstream_request_id text COLLATE "C" NOT NULL,
  refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= paid),
  revised bigint NOT NULL DEFAULT 0,
  CHECK (paid + written_off = price)
);

CREATE TABLE transfers (
  id text COLLATE "C" PRIMARY KEY,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('top_up', 'grant', 'move', 'refund', 'adjustment', 'expiry')),
  wallet text COLLATE "C" NOT NULL,
  root text COLLATE "C" NOT NULL,
  at bigint NOT NULL,
  amount bigint NOT NULL,
  legs text COLLATE "C" NOT NULL,
  other_wallet text COLLATE "C",
  charge text COLLATE "C",
  note text COLLATE "C" NOT NULL,
  command text COLLATE "C" NOT NULL
);
CREATE INDEX transfers_wallet ON transfers (wallet, at);

CREATE TABLE replays (
  key text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  fingerprint text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('running', 'done')),
  answer bytea,
  PRIMARY KEY (key, name)
);
CREATE INDEX replays_created ON replays (created_at);

CREATE TABLE commands (
  id text COLLATE "C" PRIMARY KEY,
  fingerprint text COLLATE "C" NOT NULL,
  outcome text COLLATE "C" NOT NULL,
  at bigint NOT NULL
);

CREATE TABLE processes (
  id text COLLATE "C" PRIMARY KEY,
  started_at bigint NOT NULL,
  heartbeat_at bigint NOT NULL
);

CREATE TABLE books (
  version bigint PRIMARY KEY,
  published_at bigint NOT NULL,
  note text COLLATE "C" NOT NULL
);

-- A row is part of every version from `since` on, until (not including) `until`.
CREATE TABLE models (
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  until bigint,
  names text COLLATE "C" NOT NULL,
  context_tokens_max bigint,
  output_tokens_max bigint,
  kind text COLLATE "C" NOT NULL,
  PRIMARY KEY (provider, model, since)
);

CREATE TABLE prices (
  id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  scope text COLLATE "C" NOT NULL,
  since bigint NOT NULL,
  until bigint,
  provider text COLLATE "C" NOT NULL,
  model text COLLATE "C" NOT NULL,
  unit text COLLATE "C" NOT NULL,
  tier_above bigint NOT NULL,
  service_tier text COLLATE "C" NOT NULL,
  speed text COLLATE "C" NOT NULL,
  geo text COLLATE "C" NOT NULL,
  batch bigint NOT NULL,
  pico bigint NOT NULL CHECK (pico >= 0),
  valid_from bigint NOT NULL,
  valid_to bigint,
  source text COLLATE "C" NOT NULL,
  checked_at bigint NOT NULL
);
CREATE INDEX prices_model ON prices (provider, model);

-- What was written off is rare and asked for with every balance: an index of those charges alone costs the others nothing.
CREATE INDEX charges_written_off ON charges (wallet, written_off) WHERE written_off > 0;

-- Work that one process at a time does, and until when it may.
CREATE TABLE leases (
  name text COLLATE "C" PRIMARY KEY,
  owner text COLLATE "C" NOT NULL,
  until bigint NOT NULL
);
