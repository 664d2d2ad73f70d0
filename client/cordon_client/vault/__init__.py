"""The vault: data, ledger and keys behind one socket, without a network."""
