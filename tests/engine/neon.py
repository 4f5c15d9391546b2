"""Run by test_neon.py in a process whose target is NEON: print each kernel's tightest vector loop, as JSON."""

import importlib
import json
import re
import sys

import numpy as np

from deepconv.engine.kernels import frontend

TRIPLE, CPU = "aarch64-unknown-linux-gnu", "neoverse-n1"


def blocks(assembly):
    """Yield the label and the instructions of every basic block."""
    label, lines = "", []
    for line in assembly.splitlines():
        text = line.split("//")[0].strip()
        if re.match(r"^[\w.$]+:$", text):
            yield label, lines
            label, lines = text[:-1], []
        elif text and not text.startswith("."):
            lines.append(text)
    yield label, lines


def tightest(assembly):
    """Return how many vector multiply-adds, instructions and scalar multiply-adds the tightest loop has.

    That is the one with the largest share of the first. Loops of fewer than eight don't count.
    """
    best = (0, 1, 0)
    for label, lines in blocks(assembly):
        if label and any(re.match(rf"^(b\.\w+|cbn?z|tbn?z)\b.*{re.escape(label)}$", line) for line in lines):
            vector = sum(bool(re.match(r"^fmla\s+v\d+\.4s", line)) for line in lines)
            scalar = sum(bool(re.match(r"^fmadd\s+s", line)) for line in lines)
            if vector >= 8:
                best = max(best, (vector, len(lines), scalar), key=lambda found: found[0] / found[1])
    return best


if __name__ == "__main__":
    found = {}
    for name in sys.argv[1:]:
        module, function = name.split(".")
        kernel = getattr(importlib.import_module(f"deepconv.engine.kernels.{module}"), function)
        found[name] = tightest(frontend.assembly(kernel, np.dtype(np.float32), TRIPLE, CPU))
    sys.stdout.write(json.dumps(found))
