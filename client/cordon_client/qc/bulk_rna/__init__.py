"""Quality control of bulk RNA counts."""
