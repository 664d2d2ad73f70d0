"""One module per step, oldest first; a step is never edited after a release."""
