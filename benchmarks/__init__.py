"""Commands that measure: `python -m benchmarks.layers`."""
