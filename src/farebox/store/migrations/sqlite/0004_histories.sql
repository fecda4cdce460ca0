-- What is asked for while nobody else may write: holds that ended without the truth, by key, and answers that are still kept, by age. Both are
-- few beside those that are not; an index of these alone costs the others nothing.

CREATE INDEX holds_expired ON holds (key) WHERE state = 'expired';
DROP INDEX replays_created;
CREATE INDEX replays_answered ON replays (created_at) WHERE state = 'done' AND answer IS NOT NULL;
