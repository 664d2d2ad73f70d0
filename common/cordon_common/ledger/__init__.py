"""Tamper-evident, append-only logs: the hospital's and the coordinator's."""
