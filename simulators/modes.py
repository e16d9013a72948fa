"""What the contracts leave open (contract 13), as switches: a client must live with each reading.

A fault is not a mode: a mode stays until it is switched back, and the answers it gives are correct ones.
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
    """``exams``: the list names exams with changes; ``requests``: it holds the full request objects."""
    fs_siden: str = "normal"
    """``normal``: ISO 8601; ``date``: only ``DD.MM.YYYY``; ``unparsable``: FS refuses every value with 400."""
    fs_duplicates: bool = False
    """Every exam and every row comes twice."""
    justification: str = "comment"
    """``comment``: the text is a submission comment; ``justification``: it stands on the request object."""
    comment_format: str = "plain"
    """How assessors' texts are stored from now on: as ``plain`` text, or as ``html`` paragraphs of the same text."""
    patch_data: str = "array"
    """``data`` of the answer to PATCH: an array as in the vendor's schema, or an object as in its example."""
    sis_flows_shape: str = "list"
    """The deprecated flow search: a list as its description says, or one object as its schema says."""

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
