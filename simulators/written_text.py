"""The two forms of an assessor's text: as WISEflow stores it, and as a person reads it.

This module is written from the contract alone (4.4: comments are plain text in the OpenAPI file, HTML on the help pages). It does
not use casebridge's own code for HTML, so that an error there shows as a wrong text.
"""

from __future__ import annotations

import re
from html import escape


def written(text: str, comment_format: str) -> str:
    """The stored form of `text`: the text itself (``plain``), or paragraphs of escaped text (``html``)."""
    if comment_format == "plain":
        return text
    paragraphs = re.split(r"\n{2,}", _with_one_line_end(text))
    return "".join(f"<p>{'<br>'.join(map(_escaped, paragraph.split(chr(10))))}</p>" for paragraph in paragraphs)


def read(text: str, comment_format: str) -> str:
    """The text as a person reads it. A page shows no white space at the ends of lines, and one space for several."""
    if comment_format == "plain":
        return text
    lines = [re.sub(r"[ \t\f\xa0]+", " ", line).strip() for line in _with_one_line_end(text).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _with_one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _escaped(line: str) -> str:
    return escape(line, quote=False).replace("ø", "&oslash;").replace("\xa0", "&nbsp;")
