"""The study protocol: the contract that a hospital approves by hash."""
