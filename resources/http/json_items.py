"""Reads the items of a JSON list one by one if the list cannot be read as a whole. So one bad item does not hide the others.

A parser rejects a whole document if one value in it is nested too deeply, or is a number of five thousand digits.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from casebridge.errors import TransientError
from resources.http.client import HttpAnswer

TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
SHOWN_CHARACTERS: Final = 200


def items(body: bytes, name: str | None = None) -> list[Any] | None:
    """The items of a list. `body` is the list, or an object that has it under `name`. `None` if there is no complete list.

    An item that cannot be read is replaced by its first characters, as a text. Readers expect an object and see the difference.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    first = text.lstrip()[:1]
    if first == "[":
        depth = 1
    elif first == "{" and name is not None:
        depth = 2
    else:
        return None
    spans = _spans(text, depth, None if depth == 1 else json.dumps(name))
    return None if spans is None else [_read(text[start:end]) for start, end in spans]


def listed(answer: HttpAnswer, name: str | None = None) -> Any:
    """The JSON of an answer. If it cannot be read as a whole, the items of its list, each read alone.

    Raises `TransientError` if there is no complete list either.
    """
    try:
        return answer.json()
    except TransientError:
        found = items(answer.body, name)
        if found is None:
            raise
        return found


def _spans(text: str, list_depth: int, name: str | None) -> list[tuple[int, int]] | None:
    """The begin and end of each item of the list in the text. `None` if there is no complete list."""
    spans: list[tuple[int, int]] = []
    depth, begin, named, closed = 0, -1, name is None, False
    for mark, start, end in _tokens(text):
        if mark in "[{":
            depth += 1
            if mark == "[" and depth == list_depth and named and not closed:
                begin = end
        elif begin >= 0 and depth == list_depth and mark in ",]":
            if text[begin:start].strip():
                spans.append((begin, start))
            begin, closed = (end, False) if mark == "," else (-1, True)
            depth -= mark == "]"
        elif mark in "]}":
            depth -= 1
        elif name is not None and depth == 1 and begin < 0:
            # The last text before a list at this depth is the list's name, or a value that cannot equal `name`.
            named = mark == name if mark != "," else False
    return spans if depth == 0 and closed else None


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    for found in TOKEN.finditer(text):
        yield found.group(), found.start(), found.end()


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()[:SHOWN_CHARACTERS]
