"""The public array functions: they check the arguments and hand the problem to the engine."""
