"""What pytest looks at: without Numba the compiled kernels' files can't be imported, and aren't needed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("numba") else ["src/deepconv/engine/kernels/*.py"]
