"""Quality control of signals: series of one rate, and readings of patients over time."""
