-- What providers keep, and for whom: a provider knows only its operator's account, so whose an id is has to be known here. And holds whose
-- provider answers later, with what any process needs to ask it and to work out what the answer comes to.

CREATE TABLE objects (
  provider text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  account text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  request_id text COLLATE "C" NOT NULL,
  made_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  facts text COLLATE "C" NOT NULL,
  PRIMARY KEY (id, provider)
);
CREATE INDEX objects_expiry ON objects (expires_at);

CREATE TABLE background (
  hold_id text COLLATE "C" PRIMARY KEY,
  provider text COLLATE "C" NOT NULL,
  response_id text COLLATE "C" NOT NULL,
  facts text COLLATE "C" NOT NULL,
  begun_at bigint NOT NULL,
  next_poll_at bigint NOT NULL,
  claimed_by text COLLATE "C" NOT NULL DEFAULT '',
  tries bigint NOT NULL DEFAULT 0
);
CREATE INDEX background_due ON background (next_poll_at);
CREATE INDEX background_response ON background (response_id, provider);
