"""The ledger's rules: objects, commands, and the pure state machine that decides them. Knows no HTTP, no tokens, no database."""
