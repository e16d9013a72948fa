"""Counts which crash points a piece of work passes. A crash point that nothing passes cannot be tested."""

from collections import Counter

import pytest

from casebridge import crash_points


class _Listening(str):
    """Replaces the name of the armed crash point. It counts the names that it is compared with, and equals none."""

    __slots__ = ("passed",)

    def __ne__(self, name: object) -> bool:
        self.passed[name] += 1
        return True

    def __eq__(self, name: object) -> bool:
        return not self != name

    __hash__ = str.__hash__


def listen_for_passes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count from now on how often this process passes each crash point."""
    listening = _Listening("listening")
    listening.passed = Counter()
    monkeypatch.setattr(crash_points, "_armed", listening)
    return listening.passed
