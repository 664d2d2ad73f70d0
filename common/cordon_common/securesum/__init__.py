"""Masked sums over an integer ring: keys, masks, and what a coordinator can do with them."""
