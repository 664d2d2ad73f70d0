"""Benchmarks of quality control: planted faults, real data, speed and memory, worth."""
