"""The benchmark: `./scripts/bench`. Prints what it ran on and how, and counts only answers whose charge equals the provider's own bill."""
