"""Quality control of sequences: FASTA, and tables with a column of sequences."""
