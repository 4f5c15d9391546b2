"""Checking pasted code, as `deepconv check` does; offered to this machine's own people only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import Field

from deepconv.check.report import check_file
from deepconv.studio.session import Answer, Session, method

__all__ = ["check"]

_SECONDS = 5.0


@method(lane="checks")
def check(
    session: Session, blobs: list[bytes], *, code: Annotated[str, Field(min_length=1, max_length=100_000)]
) -> Answer:
    """Run pasted code in a process of its own and hold it against the library.

    Args:
        session: the page's; it must come from this machine, as the code runs with its owner's rights.
        blobs: none.
        code: Python.
    """
    if not session.state.get("loopback"):
        raise ValueError(
            "pasted code runs only where the studio listens on 127.0.0.1; start it without --host"
        )
    with tempfile.TemporaryDirectory(prefix="deepconv-check-") as folder:
        file = Path(folder) / "pasted.py"
        file.write_text(code, encoding="utf-8")
        try:
            return Answer(check_file(file, seconds=_SECONDS).to_dict())
        except ValueError as error:
            raise ValueError(str(error).replace(repr(str(file)), "your code")) from None
