"""The personal data of a simulated world. Tests search texts for these values."""

import re
from collections.abc import Iterable
from typing import Any

from simulators.explanation_texts import compose
from simulators.names import FIRST_NAMES, LAST_NAMES
from tests.support.world import World

MARK = "HEMMELIG"
"""A word in every text and name that a test makes up itself."""
FRAGMENTS = (MARK, "Begrunnelsen gjelder besvarelse", "Se kommentar i margen", "Grensetilfelle", "Notat til medsensor")
"""Every text of the simulated assessors has one of these."""


class PersonalValues:
    """What must not be found in a text.

    - the persons' numbers and user names;
    - first and last names of anybody;
    - texts of explanations;
    - fingerprints of persons, which are the ids of cases and messages: somebody who knows the parts could try all numbers;
    - credentials.
    """

    def __init__(self, world: World, rows: Iterable[dict[str, Any]]) -> None:
        assert any(fragment in compose(1, 1, seed=1) for fragment in FRAGMENTS)
        numbers: set[str] = set()
        words = {*FIRST_NAMES, *LAST_NAMES}
        for row in rows:
            numbers |= {str(row[name]) for name in ("personlopenr", "kandidatnr") if name in row}
            words.add(row["brukernavn"])
        ids = {case["_id"] for case in world.database.cases.find({}, {"_id": 1})}
        for messages in (world.database.messages, world.database.processed_messages):
            ids |= {message["_id"] for message in messages.find({}, {"_id": 1})}
        self._patterns = {
            "a number": _any_of(numbers, "[0-9a-f]"),
            "a name": _any_of(words, r"\w"),
            "a text": _any_of(FRAGMENTS),
            "a fingerprint": _any_of(ids),
            "a credential": _any_of(world.secrets.values()),
        }

    def found_in(self, text: str) -> dict[str, list[str]]:
        """The values that the text has, by kind; empty if there are none."""
        found = {kind: sorted(set(pattern.findall(text))) for kind, pattern in self._patterns.items()}
        return {kind: values for kind, values in found.items() if values}


def _any_of(values: Iterable[str], no_part_of: str = "") -> re.Pattern[str]:
    """Any of the values, where it is not part of a longer run of `no_part_of`."""
    wanted = "|".join(re.escape(value) for value in sorted(set(values), key=len, reverse=True))
    assert wanted
    before, after = (f"(?<!{no_part_of})", f"(?!{no_part_of})") if no_part_of else ("", "")
    return re.compile(f"{before}(?:{wanted}){after}")
