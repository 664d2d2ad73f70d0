"""The hospital's side: vault (data, ledger, training) and gateway (network)."""
