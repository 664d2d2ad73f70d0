"""What hospitals, coordinator and auditors share. Imports neither side, nor torch."""
