"""Measures what the product exists for, beside its floor in the same run: `python -m benchmarks NAME --json`."""
