"""Clinical tables without a study: what a hospital can learn about an export before any study asks."""
