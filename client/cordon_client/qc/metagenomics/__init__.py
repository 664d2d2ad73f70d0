"""Quality control of taxonomic profiles: reports of classifiers, BIOM, and tables."""
