"""Quality control of single cells: one matrix of cells × genes per sample, read in blocks."""
