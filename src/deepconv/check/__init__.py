"""A learner's own convolution, checked: the first case and cell where it differs, and the likely reason."""
