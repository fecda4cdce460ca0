-- What was written off is rare and asked for with every balance: an index of those charges alone costs the others nothing.

CREATE INDEX charges_written_off ON charges (wallet, written_off) WHERE written_off > 0;
