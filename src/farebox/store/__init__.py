"""The only place that touches a database: batches of ledger commands, migrations, and reads for everyone else."""
