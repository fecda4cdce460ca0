"""The benchmark: `./scripts/bench`. Prints what it ran on and how, and compares charges with the provider's own bill (throughput, streams)."""
