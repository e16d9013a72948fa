"""Which named places a piece of work passes: a crash point that nothing passes can be met by no test."""

from collections import Counter

import pytest

from casebridge import crash_points


class _Listening(str):
    """Stands where an armed point's name would, and notes the names that it is compared with. It is none of them."""

    __slots__ = ("passed",)

    def __ne__(self, name: object) -> bool:
        self.passed[name] += 1
        return True

    def __eq__(self, name: object) -> bool:
        return not self != name

    __hash__ = str.__hash__


def listen_for_passes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """From now on, how often this process passes each place."""
    listening = _Listening("listening")
    listening.passed = Counter()
    monkeypatch.setattr(crash_points, "_armed", listening)
    return listening.passed
