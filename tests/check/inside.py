"""A learner's code checked in this process: the findings that one of its own gives, at a hundredth of the cost."""

import textwrap
from types import ModuleType

import numpy as np

from deepconv.check import report
from deepconv.check.adapters import HalfWay, find
from deepconv.check.sandbox import Failed


class Inside:
    """What `report` asks of a sandbox."""

    def __init__(self, module):
        self.adapters = find(module)
        self.offers = [{"name": a.name, "results": a.results, "settings": a.settings} for a in self.adapters]

    def call(self, number, operands, settings):
        try:
            found = self.adapters[number].call({**operands, **settings})
        except HalfWay as half:
            raise Failed(told(half.error), 1, plain(half.found)) from None
        except Exception as error:  # noqa: BLE001 (whatever a learner's code raises)
            raise Failed(told(error), 1, {}) from None
        return plain(found)


def told(error):
    return f"{type(error).__name__}: {error}"


def plain(found):
    return {name: np.asarray(value, np.float64) for name, value in found.items()}


def changed(text, *changes):
    """Return code with slips planted in it; each must be there to be changed."""
    text = textwrap.dedent(text)
    for before, after in changes:
        assert text.count(before) >= 1, before
        text = text.replace(before, after)
    return text


def examined(text, *changes):
    """Return the report on code, with slips planted in it."""
    module = ModuleType("mine")
    exec(changed(text, *changes), module.__dict__)
    process, findings, notes = Inside(module), [], []
    for number, offer in enumerate(process.offers):
        findings += report._check(process, number, offer, notes)
    return report.Report(tuple(findings), tuple(notes))
