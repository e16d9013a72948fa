"""Decides whether a person in FS and a participant of an exam system are the same, by one rule for every exam system.

A text that reaches the wrong student cannot be taken back. So every piece of evidence that both sides have is compared, and not
one number alone. If one piece contradicts, the case stops and a person must look at it.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from casebridge.errors import PermanentError
from casebridge.personal_data import Personal


@dataclass(frozen=True)
class Person:
    """The student who asked, by FS's row. `realm` is that of the institution, for a user name without one.

    A number is `None` only if the row is unreadable. It then neither agrees nor contradicts.
    """

    kandidatnr: Personal[int | None] = field(repr=False)
    personlopenr: Personal[int | None] = field(repr=False)
    user_name: Personal[str | None] = field(repr=False)
    realm: str


@dataclass(frozen=True)
class Evidence:
    """What the exam system says about a participant. A missing piece neither agrees nor contradicts."""

    candidate_number: Personal[str | None] = field(default=None, repr=False)
    user_names: Personal[frozenset[str]] = field(default=frozenset(), repr=False)
    person_numbers: Personal[frozenset[str]] = field(default=frozenset(), repr=False)


CONTRADICTION: Final = "identity.contradiction"
WHOLE_NUMBER: Final = re.compile(r"0*(\d{1,19})(?:\.0+)?")
"""A whole number. Leading zeros and a fraction of zero are ignored."""
FEIDE: Final = "feide:"
"""Feide's own lists of user names put this before `user@realm`."""


class Piece(StrEnum):
    """The pieces of evidence that are compared. Their names may be shown, their values never."""

    CANDIDATE_NUMBER = "candidate number"
    USER_NAME = "user name"
    PERSON_NUMBER = "FS number"


@dataclass(frozen=True)
class Comparison:
    """Which pieces of evidence agree and which contradict."""

    agreeing: frozenset[Piece]
    contradicting: frozenset[Piece]

    @property
    def is_same(self) -> bool:
        """Whether all pieces that both sides have agree, and there is at least one."""
        return bool(self.agreeing) and not self.contradicting

    @property
    def is_contradictory(self) -> bool:
        """Whether some pieces agree and others contradict."""
        return bool(self.agreeing) and bool(self.contradicting)

    @property
    def is_thin(self) -> bool:
        """Whether only one piece agrees. Another person may have that value by mistake, and no other piece would show it."""
        return self.is_same and len(self.agreeing) == 1

    @property
    def summary(self) -> str:
        """The result of each piece, in words for an operator."""
        agreeing, contradicting = (", ".join(sorted(pieces)) for pieces in (self.agreeing, self.contradicting))
        return f"agreeing: {agreeing or 'nothing'}; contradicting: {contradicting or 'nothing'}"


def compare(person: Person, evidence: Evidence) -> Comparison:
    """Compare each piece of evidence that both sides have."""
    found: dict[Piece, bool] = {}
    if person.kandidatnr is not None and evidence.candidate_number and evidence.candidate_number.strip():
        found[Piece.CANDIDATE_NUMBER] = _number(evidence.candidate_number) == str(person.kandidatnr)
    wanted = _user_names({person.user_name or ""}, person.realm)
    named = _user_names(evidence.user_names, person.realm)
    if wanted and named:
        found[Piece.USER_NAME] = bool(wanted & named)
    if person.personlopenr is not None and evidence.person_numbers:
        numbers = {_number(number) for number in evidence.person_numbers}
        found[Piece.PERSON_NUMBER] = str(person.personlopenr) in numbers
    return Comparison(
        frozenset(piece for piece, agrees in found.items() if agrees),
        frozenset(piece for piece, agrees in found.items() if not agrees),
    )


def contradiction(system: str, who: str, comparison: Comparison) -> PermanentError:
    """The error for evidence that contradicts itself: no assessor is asked, and no answer is registered.

    `who` names the participant by its ids in the exam system (`ExamSystem.name_of`).
    """
    return PermanentError(
        CONTRADICTION,
        f"{who} is and is not the person of the request in FS ({comparison.summary}).",
        f"Compare candidate number, user name and FS number in FS and {system} and correct what is wrong. A "
        "correction in FS is found by the next poll. After a correction in the exam system, replay the message: the participant "
        "is looked for again. If FS shows the request as finished, check its text: correct it there by hand if it is another "
        "student's, and discard the message.",
        system=system,
    )


Mark = tuple[Piece, str]
"""A piece of evidence and its value in the normal spelling. A user name has no realm here."""


def marks(evidence: Evidence) -> set[Mark]:
    """The marks by which a participant is found. If it agrees with a person in any piece, both have a mark in common."""
    found = {(Piece.PERSON_NUMBER, _number(number)) for number in evidence.person_numbers}
    found.update((Piece.USER_NAME, user) for user, _ in _user_names(evidence.user_names, ""))
    if evidence.candidate_number:
        found.add((Piece.CANDIDATE_NUMBER, _number(evidence.candidate_number)))
    return found


def marks_of(person: Person) -> set[Mark]:
    """The marks of a person, to find the participants with one of them (`marks`)."""
    found = {(Piece.USER_NAME, user) for user, _ in _user_names({person.user_name or ""}, "")}
    if person.kandidatnr is not None:
        found.add((Piece.CANDIDATE_NUMBER, str(person.kandidatnr)))
    if person.personlopenr is not None:
        found.add((Piece.PERSON_NUMBER, str(person.personlopenr)))
    return found


def user_name_of(name: str, realm: str) -> str | None:
    """A user name with its realm, in the normal spelling. `realm` is used if it has none. `None` if there is no user name."""
    return next(("@".join(parts) for parts in _user_names({name}, realm)), None)


def _number(text: str) -> str:
    """A number without white space and leading zeros, as in FS. Any other text keeps its characters."""
    bare = _bare(text)
    if bare.isascii() and (whole := WHOLE_NUMBER.fullmatch(bare)):
        return whole[1]
    return bare


def _user_names(names: Iterable[str], realm: str) -> set[tuple[str, str]]:
    """User and realm of each name. A name without a realm gets the institution's realm (contract 3.2 leaves this open)."""
    split = (_bare(name).casefold().removeprefix(FEIDE).partition("@") for name in names)
    return {(user.strip(), _realm(of) or _realm(realm)) for user, _, of in split if user.strip()}


def _realm(text: str) -> str:
    """A domain without the final dot."""
    return _bare(text).casefold().rstrip(".")


def _bare(text: str) -> str:
    """The text in Unicode's compatible form (NFKC), without white space around it and without invisible characters."""
    if text.isascii():
        return text.strip()  # NFKC does not change ASCII; for long lists of participants this saves time
    normal = unicodedata.normalize("NFKC", text)
    return "".join(letter for letter in normal if unicodedata.category(letter) != "Cf").strip()
