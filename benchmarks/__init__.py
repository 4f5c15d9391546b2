"""Commands that measure: `python -m benchmarks.layers`, `.training`, `.operators` and `.startup`."""
