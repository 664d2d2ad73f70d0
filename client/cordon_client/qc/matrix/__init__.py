"""Matrices of features × samples: read them, tally them, compare their samples."""
