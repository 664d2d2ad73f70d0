"""Tables of the OMOP Common Data Model: what a hospital can learn about an export, and make of it."""
