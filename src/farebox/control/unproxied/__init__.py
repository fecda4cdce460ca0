"""Work that is not proxied: holds that a back office takes and settles itself, and events that tell of work that is done."""
