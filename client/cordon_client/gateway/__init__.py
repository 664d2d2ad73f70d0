"""The hospital's network side: Flower SuperNode and pinned executor; no data, no keys to it."""
