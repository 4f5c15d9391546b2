"""`deepconv doctor`: what this machine and this installation have, and what is missing."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from deepconv.cli import console

__all__ = ["doctor"]

_PACKAGES = {
    "": ("numpy", "safetensors", "threadpoolctl", "numba", "llvmlite"),
    "app": ("typer", "rich", "pillow", "matplotlib"),
}
"""What each extra brings; the first comes with deepconv itself."""

_VECTORS = (
    *("sse2", "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl"),
    *(
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_tile",
        "asimd",
        "asimdhp",
        "bf16",
        "i8mm",
        "sve",
        "sve2",
    ),
)
"""Linux's words for vector instructions, of x86 and then of ARM."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one key per fact.")] = False,
) -> None:
    """Print versions, instruction set, caches, threads and BLAS, and what is missing."""
    findings = examine()
    if as_json:
        console.say_json(findings)
    else:
        console.say(_lines(findings))


def examine() -> dict[str, Any]:
    """Return everything that the doctor looks at, as plain data.

    Example:
        >>> examine()["threads"]["used"] >= 1
        True
    """
    import deepconv
    from deepconv.engine.machine import told_caches
    from deepconv.engine.settings import allowed_threads, get_threads, get_workspace_limit

    versions = {name: _version(name) for names in _PACKAGES.values() for name in names}
    return {
        "deepconv": deepconv.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "instruction_set": _instruction_set(),
        "caches": {f"L{level}": size for level, size in told_caches().items()},
        "kernels": _kernels(),
        "threads": {"used": get_threads(), "allowed": allowed_threads(), "processors": os.cpu_count() or 1},
        "workspace_limit_bytes": get_workspace_limit(),
        "blas": _blas(),
        "versions": {name: version for name, version in versions.items() if version},
        "missing": [
            {
                "package": name,
                "remedy": f'pip install "deepconv[{extra}]"' if extra else "pip install deepconv",
            }
            for extra, names in _PACKAGES.items()
            for name in names
            if not versions[name]
        ],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def _instruction_set() -> list[str]:
    """Return the vector instructions of this processor that matter to arithmetic."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:  # not Linux
        words = set()
    return [name for name in _VECTORS if name in words] or _numpys_instruction_set()


def _numpys_instruction_set() -> list[str]:
    """Return what NumPy found in this processor, in its own words."""
    import numpy as np

    simd: Any = dict(np.show_config(mode="dicts")).get("SIMD Extensions", {})
    return [*simd.get("baseline", []), *simd.get("found", [])]


def _kernels() -> dict[str, Any]:
    """Return what the compiled algorithms are compiled for, and where they are kept."""
    from deepconv.engine import machine, rates

    why = machine.why_not_compiled()
    if why is not None:
        return {"compiled": False, "why": why}
    from deepconv.engine.kernels.compile import folders, kept_in

    try:
        target = machine.target().name
    except ValueError as error:
        return {"compiled": False, "why": f"nothing is computed: {error}"}
    try:
        used = "calibrated" if rates.calibrated() else "shipped"
    except ValueError as error:
        used = f"unreadable, nothing is computed: {error}"
    return {
        "compiled": True,
        "target": target,
        "folders": [str(folder) for folder in folders()],
        "kept_in": str(kept_in() or "") or None,
        "rates": used,
    }


def _blas() -> list[dict[str, Any]]:
    from threadpoolctl import threadpool_info

    wanted = ("internal_api", "version", "architecture", "num_threads")
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return [{name: pool.get(name) for name in wanted} for pool in pools]


def _lines(findings: dict[str, Any]) -> str:
    """Return the findings for a person."""
    threads = findings["threads"]
    caches = ", ".join(f"{name} {size // 1024:,} KiB" for name, size in findings["caches"].items())
    blas = [
        f"{pool['internal_api']} {pool['version'] or ''} for {pool['architecture'] or 'this processor'}, "
        f"{pool['num_threads']} threads"
        for pool in findings["blas"]
    ]
    missing = [f"{entry['package']} ({entry['remedy']})" for entry in findings["missing"]]
    facts = {
        "deepconv": findings["deepconv"],
        "Python": f"{findings['python']} ({sys.implementation.name})",
        "system": findings["system"],
        "processor": findings["processor"],
        "instructions": " ".join(findings["instruction_set"]) or "unknown",
        "caches": caches or "unknown",
        "threads": f"{threads['used']} used, {threads['allowed']} allowed, {threads['processors']} in the machine",
        "workspace": f"at most {findings['workspace_limit_bytes']:,} bytes",
        "kernels": _told(findings["kernels"]),
        "BLAS": "; ".join(blas) or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in findings["versions"].items()),
        "missing": ", ".join(missing) or "nothing",
    }
    return "\n".join(f"{name:<14}{value}" for name, value in facts.items())


def _told(kernels: dict[str, Any]) -> str:
    """Return the line about the compiled algorithms."""
    if not kernels["compiled"]:
        return f"none: {kernels['why']}"
    kept = f"kept in {kernels['kept_in']}" if kernels["kept_in"] else "kept nowhere: no folder can be written"
    return f"compiled for {kernels['target']}, {kept}; rates {kernels['rates']}"
