-- What a hold's state and a charge's completeness may be, in other words: SQLite makes a table of every list of more than two values each time
-- that it asks whether one is in it, which is three times a call, and costs more than the rest of the statement. The rows stay as they are:
-- only the words are changed (https://sqlite.org/lang_altertable.html: changes that do not affect the content on disk). Where they are not
-- found nothing is changed, and the rule is the same. What follows makes this connection read the new words, and tells all the others to.

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
  'CHECK (state IN (''open'', ''captured'', ''released'', ''expired''))',
  'CHECK (state = ''open'' OR state = ''captured'' OR state = ''released'' OR state = ''expired'')')
WHERE type = 'table' AND name = 'holds';
UPDATE sqlite_schema SET sql = replace(sql,
  'CHECK (completeness IN (''exact'', ''estimated'', ''unknown''))',
  'CHECK (completeness = ''exact'' OR completeness = ''estimated'' OR completeness = ''unknown'')')
WHERE type = 'table' AND name = 'charges';
PRAGMA writable_schema = RESET;
CREATE INDEX others_read_again ON meta (value);
DROP INDEX others_read_again;
