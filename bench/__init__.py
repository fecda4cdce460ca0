"""The benchmark: `./scripts/bench`. Prints what it ran on and how; counts a call only where its one charge is the provider's own bill."""
