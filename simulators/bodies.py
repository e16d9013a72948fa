"""Reads the bodies of requests. A body that cannot be read is the sender's error and never makes the server fail."""

import json
import math
from typing import Any
from urllib.parse import parse_qs

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request

LONGEST_NUMBER = 18
"""The most digits of an id in a path. Longer numbers are no ids, and Python refuses to read very long ones."""
DEEPEST = 500
"""The deepest nesting of objects and lists: half of what Python can read, because an answer that repeats them nests deeper."""


class IdConvertor(Convertor[int]):
    """``{flowId:id}`` in a path: a whole number with at most ``LONGEST_NUMBER`` digits. Any other path is not found."""

    regex = f"[0-9]{{1,{LONGEST_NUMBER}}}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", IdConvertor())


def media_type(request: Request) -> str:
    """The media type of the body, in lower case and without parameters."""
    return str(request.headers.get("content-type", "")).partition(";")[0].strip().lower()


def read_json(body: bytes) -> Any:
    """The value of a JSON body.

    :raises ValueError: not JSON, not text, nested too deeply, or a value that no answer could repeat
    """
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if _is_deeper(value, DEEPEST):
        raise ValueError("nested too deeply")
    json.dumps(value, ensure_ascii=False).encode()  # raises `ValueError` for lone surrogates, which are no text
    return value


def _is_deeper(value: object, levels: int) -> bool:
    """Whether objects and lists are nested in more than so many levels."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number larger than any")
    return number


def read_form(body: bytes) -> dict[str, str]:
    """The last value of each field.

    :raises ValueError: not text
    """
    return {name: values[-1] for name, values in parse_qs(body.decode()).items()}
