"""Model families as plain modules with a per-sample loss."""
