"""Harmonise sites from sums: standardisation, principal components, ComBat; no record leaves."""
