"""Switches for what the contracts leave open (contract 13). A client must work with each reading.

A mode is not a fault: it stays until it is switched back, and its answers are correct.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

CHOICES: dict[str, tuple[object, ...]] = {
    "fs_list_shape": ("exams", "requests"),
    "fs_siden": ("normal", "date", "unparsable"),
    "fs_duplicates": (False, True),
    "justification": ("comment", "justification"),
    "comment_format": ("plain", "html"),
    "patch_data": ("array", "object"),
    "sis_flows_shape": ("list", "object"),
}


@dataclass(slots=True)
class Modes:
    """The modes in force."""

    fs_list_shape: str = "exams"
    """``exams``: the list has the exams with changes; ``requests``: it has the full request objects."""
    fs_siden: str = "normal"
    """``normal``: ISO 8601; ``date``: only ``DD.MM.YYYY``; ``unparsable``: FS refuses every value with 400."""
    fs_duplicates: bool = False
    """FS sends every exam and every row twice."""
    justification: str = "comment"
    """``comment``: the text is a submission comment; ``justification``: it is a field of the request object."""
    comment_format: str = "plain"
    """How assessors' texts are stored from now on: as ``plain`` text, or as ``html`` paragraphs of the same text."""
    patch_data: str = "array"
    """``data`` of the answer to PATCH: an array as in the vendor's schema, or an object as in its example."""
    sis_flows_shape: str = "list"
    """The answer of the deprecated flow search: a list as in its description, or one object as in its schema."""

    def change(self, wanted: dict[str, Any]) -> None:
        """Switch modes.

        :raises ValueError: a name or a value that does not exist
        """
        for name, value in wanted.items():
            if value not in CHOICES.get(name, ()):
                raise ValueError(f"no such mode: {name}={value!r}; choices: {CHOICES.get(name) or sorted(CHOICES)}")
        for name, value in wanted.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}
