"""Tests of the mechanism that really runs, on patients who do not exist; spends nothing."""
