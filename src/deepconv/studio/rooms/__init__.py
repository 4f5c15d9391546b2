"""The rooms of the studio: what each can be asked. Every number on the page comes from here."""

from __future__ import annotations

from collections.abc import Mapping

from deepconv import __version__
from deepconv.studio.rooms import check, lab, network, window
from deepconv.studio.session import Method
from deepconv.studio.wire import encode

__all__ = ["ROOMS", "greeting"]

ROOMS: Mapping[str, Mapping[str, Method]] = {
    "check": {"check": check.check},
    "lab": {
        "load": lab.load,
        "catalogue": lab.catalogue,
        "numbers": lab.numbers,
        "run": lab.run,
        "pixel": lab.pixel,
        "save": lab.save,
        "words": lab.words,
    },
    "network": {
        "state": network.state,
        "load": network.load,
        "see": network.see,
        "unit": network.unit,
        "train": network.train,
        "control": network.control,
    },
    "window": {"compute": window.compute},
}
"""The methods by room and name."""


def greeting() -> str | bytes:
    """Return the first message to a page: which library answers."""
    return encode({"room": "studio", "event": "hello", "data": {"version": __version__}})
