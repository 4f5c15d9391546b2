"""Other people's suites and libraries judge ours here; a folder of tests that need more than the base install."""
