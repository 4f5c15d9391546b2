"""A run as one picture: how it learned, what it confuses, what its layers look for, where it fails and why."""

from deepconv.report.page import write_report

__all__ = ["write_report"]
