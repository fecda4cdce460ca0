-- What providers keep, and for whom: a provider knows only its operator's account, so whose an id is has to be known here. And holds whose
-- provider answers later, with what any process needs to ask it and to work out what the answer comes to.

CREATE TABLE objects (
  provider TEXT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  account TEXT NOT NULL,
  key TEXT NOT NULL,
  request_id TEXT NOT NULL,
  made_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (id, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_expiry ON objects (expires_at);

CREATE TABLE background (
  hold_id TEXT PRIMARY KEY,
  provider TEXT NOT NULL,
  response_id TEXT NOT NULL,
  facts TEXT NOT NULL,
  begun_at INTEGER NOT NULL,
  next_poll_at INTEGER NOT NULL,
  claimed_by TEXT NOT NULL DEFAULT '',
  tries INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX background_due ON background (next_poll_at);
CREATE INDEX background_response ON background (response_id, provider);
