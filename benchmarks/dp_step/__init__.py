"""What the privacy kernel costs next to plain training, raw primitives and its peers."""
