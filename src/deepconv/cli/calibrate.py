"""`deepconv calibrate`: measure this machine, so that the choice of algorithms fits it better."""

from __future__ import annotations

from typing import Annotated

import typer

from deepconv.cli import console

__all__ = ["calibrate"]


def calibrate(
    reset: Annotated[bool, typer.Option("--reset", help="Go back to the rates that are shipped.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, print, and keep nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one key per fact.")] = False,
) -> None:
    """Measure how fast this machine multiplies and copies, for the choice of algorithms from now on.

    The choice works without: rates are shipped for each instruction set. Nothing else measures, so that the
    same convolution gets the same algorithm every time. Let the machine be quiet meanwhile.

    Example: deepconv calibrate --dry-run
    """
    from deepconv.engine import calibration, machine, rates

    if reset and dry_run:
        raise ValueError("calibrate: --reset removes what was kept, --dry-run keeps nothing; use one of them")
    if reset:
        _reset(as_json)
        return
    try:
        measured = calibration.measure()
    except RuntimeError as error:
        raise ValueError(str(error)) from None
    if not dry_run:
        rates.save(measured)
    shipped = rates.SHIPPED[machine.target().name]._asdict()
    found = {name: round(value, 1) for name, value in measured._asdict().items()}
    kept = None if dry_run else str(rates.file())
    if as_json:
        console.say_json(
            {"target": machine.target().name, "measured": found, "shipped": shipped, "kept": kept}
        )
        return
    lines = [f"{'':<14}{'measured':>10}{'shipped':>10}  ({machine.target().name}, one thread)"]
    lines += [f"{name:<14}{value:>10,}{shipped[name]:>10,}  {_UNITS[name]}" for name, value in found.items()]
    console.say("\n".join([*lines, f"Kept in {kept}." if kept else "Nothing was kept."]))


def _reset(as_json: bool) -> None:
    """Remove what was kept, if anything was."""
    from deepconv.engine import rates

    file = rates.file()
    removed = file is not None and file.exists()
    if file is not None:
        file.unlink(missing_ok=True)
    if as_json:
        console.say_json({"removed": str(file) if removed else None})
    else:
        console.say(
            f"Removed {file}: the shipped rates hold."
            if removed
            else "Nothing was kept: the shipped rates hold."
        )


_UNITS = {
    "tile": "GFLOP/s of a register tile",
    "blas": "GFLOP/s of NumPy's matrix product",
    "copy": "bytes/ns, a kernel's copy",
    "numpy_copy": "bytes/ns, NumPy's strided copy",
    "call": "ns a call of a compiled algorithm (not measured)",
    "numpy_call": "ns a call of NumPy's (not measured)",
}
