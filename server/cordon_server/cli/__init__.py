"""Sub-commands of the coordinator."""
