"""What the HTML of a comment may cost in time and memory. The sender decides what it contains."""

import subprocess
import sys
import time

import pytest

from resources.text.readable_text import MOST_TAGS, readable_text

HOSTILE = {
    "elements in elements": "<div>" * 50_000 + "x",
    "elements in elements, falsely closed": "<div></i>" * 50_000 + "x",
    "formats": "<b>" * 50_000 + "x",
    "lists in lists": "<ul><li>" * 30_000 + "x",
    "tables in tables": "<table><tr><td>" * 20_000 + "x",
    "links": "<a href='https://x'><div>" * 20_000 + "x",
    "notes of characters": "<rt>" * 50_000 + "x",
    "attributes": "<p " + " ".join(f"a{place}=1" for place in range(100_000)) + ">x",
    "comments that never end": "<!-- " * 100_000,
    "scripts that never end": "<script>" * 50_000,
    "tags that never end": "<p a=\"<p a='" * 50_000,
    "white space": "<p" + " " * 500_000,
    "references": "&amp;" * 200_000,
    "signs": "<&" * 200_000,
    "names of a word processor": "<a:b " * 100_000,
    "closed names of a word processor": "<o:b " * 100_000,
    "marks of a word processor": "<!--[if x " * 50_000,
    "values without quotes": "<p a=" * 100_000,
    "values without quotes and white space": "<p a=" + " " * 500_000,
    "flags": "<p" + " hidden" * 100_000,
    "numbered lists": "<ol reversed><li>" * 20_000,
    "items of a list backwards": "<ol reversed>" + "<li>x" * 15_000,
    "cells": "<table><tr>" + "<td colspan=20 rowspan=1000>x" * 10_000,
    "cells in no table": "<td>" * 15_000,
    "high cells": "<table><tr>" + "<td rowspan=1000>" * 5_000 + "<tr><td>x" * 5_000,
    "attributes of a list": "<ol " + " ".join(f"a{place}=1" for place in range(100_000)) + ">x",
    "line ends": "a<br>" * 100_000,
    "a row without an end": "<tr><td>x</td>" * 30_000,
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE)
def test_the_time_grows_no_faster_than_the_text(html: str) -> None:
    """A quarter of the text must take at least an eighth of the time. With quadratic growth it would take a sixteenth."""

    def seconds(text: str) -> float:
        began = time.process_time()
        readable_text("<p>x</p>" + text)
        return time.process_time() - began

    quarter = min(seconds(html[: len(html) // 4]) for _ in range(3))
    assert any(seconds(html) < 8 * quarter + 0.1 for _ in range(3)), "the quickest of three is too slow"


def test_many_tags_are_read_without_their_structure() -> None:
    row = "<tr><td>Del&nbsp;1</td><td></td><td> 7  av\n9</td></tr>"
    html = "<ul><li><p>En</p></li></ul>" + "<table>" + row * MOST_TAGS + "</table><a href='https://uis.no'>her</a>"
    assert set(readable_text(html).splitlines()) == {"En", "Del\xa01\t\t7 av 9", "her (https://uis.no)"}


PEAK = """
import sys
from resources.text.readable_text import LONGEST, MOST_TAGS, readable_text

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

readable_text("<p>x</p>")
before = peak()
few = "<p>" + "x" * (LONGEST // MOST_TAGS * 2 - 10) + "</p>"
for unit in ("<p>Hei p\u00e5 deg</p>", "a<br>", "<td>\U0001f44d</td>", "&oslash;", few, few.replace("x", "\U0001f44d")):
    readable_text("<p></p>" + unit * ((LONGEST - 7) // len(unit)))
readable_text("<table><tr>" + "<td>x" * (MOST_TAGS - 5))
readable_text("<ul>" + "<li>x" * (MOST_TAGS - 5))
print(peak() - before)
"""


def test_the_longest_content_takes_little_memory() -> None:
    """In a process of its own, because it also counts the memory of the parser: at most 100 MB more than before."""
    printed = subprocess.run([sys.executable, "-c", PEAK], check=True, capture_output=True, text=True).stdout
    assert int(printed) < 100 * 1024
