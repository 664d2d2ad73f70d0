"""The private training kernel."""
