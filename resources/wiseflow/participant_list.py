"""A flow's participants, with an index: those who may be a person are found without comparing each of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

from casebridge.exams.identity import Mark, Person, marks, marks_of
from resources.wiseflow.records import EvidenceNames, Participant, UnreadableParticipant

ListedParticipant = Participant | UnreadableParticipant


class ParticipantList(Sequence[ListedParticipant]):
    """The rows in their order. A list is kept for minutes, and each request of the exam searches in it."""

    def __init__(self, rows: Iterable[ListedParticipant], names: EvidenceNames) -> None:
        self._rows = tuple(rows)
        self.names = names

    @classmethod
    def of(cls, rows: Sequence[ListedParticipant], names: EvidenceNames) -> "ParticipantList":
        """A list of these rows. `rows` itself is returned if it is such a list with the same names already."""
        return rows if isinstance(rows, cls) and rows.names == names else cls(rows, names)

    @overload
    def __getitem__(self, index: int) -> ListedParticipant: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ListedParticipant, ...]: ...
    def __getitem__(self, index: int | slice) -> ListedParticipant | tuple[ListedParticipant, ...]:
        return self._rows[index]

    def __iter__(self) -> Iterator[ListedParticipant]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def unreadable(self) -> tuple[UnreadableParticipant, ...]:
        return tuple(one for one in self._rows if isinstance(one, UnreadableParticipant))

    def with_a_mark_of(self, person: Person) -> list[Participant]:
        """The readable participants with at least one piece of evidence that agrees with the person's, and perhaps some more."""
        found = {place: one for mark in marks_of(person) for place, one in self._by_mark.get(mark, ())}
        return [found[place] for place in sorted(found)]

    @cached_property
    def _by_mark(self) -> dict[Mark, list[tuple[int, Participant]]]:
        by_mark: dict[Mark, list[tuple[int, Participant]]] = defaultdict(list)
        for place, one in enumerate(self._rows):
            if isinstance(one, Participant):
                for mark in marks(one.evidence(self.names)):
                    by_mark[mark].append((place, one))
        return dict(by_mark)
