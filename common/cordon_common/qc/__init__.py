"""Quality control vocabulary: measurements, checks, verdicts, what may leave."""
