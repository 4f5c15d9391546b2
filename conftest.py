"""What pytest looks at: without Numba the compiled kernels' files can't be imported, and aren't needed."""

from importlib.util import find_spec

# The second and the third are run by tests, which skip themselves there.
_NEED_NUMBA = ["src/deepconv/engine/kernels/*.py", "tests/engine/neon.py", "tests/engine/simd_checks.py"]
collect_ignore_glob = [] if find_spec("numba") else _NEED_NUMBA
