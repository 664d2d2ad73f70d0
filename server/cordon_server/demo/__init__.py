"""A real federation on loopback, for a newcomer."""
