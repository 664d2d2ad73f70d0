"""What the sites' noised summaries show beside each other: drift, units, codes, empty columns."""
