"""Identity across modalities: whether DNA, RNA and record are of the same person."""
