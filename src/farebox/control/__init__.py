"""The control plane: everything a person or a back office does, over services that command the same ledger."""
