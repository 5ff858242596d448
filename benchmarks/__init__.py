"""Benchmarks against peers, side by side on a local server: `make bench`."""
