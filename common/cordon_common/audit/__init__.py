"""Offline verification of what was claimed."""
