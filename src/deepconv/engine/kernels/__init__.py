"""The compiled half of the engine: everything here needs Numba, and nothing else in the package imports it."""
