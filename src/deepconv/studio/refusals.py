"""What an argument lacks, in words for the person at the page: the validator's own are a programmer's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

__all__ = ["plain"]

_SAID = {
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "finite_number": "give a finite number",
    "bool_type": "say true or false",
    "string_type": "give text",
    "list_type": "give a list",
    "dict_type": "give named values",
    "greater_than_equal": "must be at least {ge:.10g}",
    "greater_than": "must be above {gt:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
    "less_than": "must be below {lt:.10g}",
    "too_short": "has {actual_length}, and must have at least {min_length}",
    "too_long": "has {actual_length}, and may have at most {max_length}",
    "string_too_long": "may have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "missing_keyword_only_argument": "is missing",
    "unexpected_keyword_argument": "is not known here",
}


def plain(error: ValidationError) -> str:
    """Say what an argument lacks in one line.

    Args:
        error: the validator's.

    Example:
        >>> from pydantic import TypeAdapter
        >>> try:
        ...     TypeAdapter(list[int]).validate_python([1, "2"], strict=True)
        ... except ValidationError as error:
        ...     print(plain(error))
        1: give a whole number
    """
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "arguments"
    return f"{place}: {_words(first['type'], first.get('ctx', {}), first['msg'])}"


def _words(kind: str, context: Mapping[str, Any], otherwise: str) -> str:
    if kind == "string_too_short":
        least = context["min_length"]
        return "is empty" if least == 1 else f"must have at least {least} characters"
    return _SAID[kind].format(**context) if kind in _SAID else otherwise
