"""Whether a person in FS and a participant of an exam system are the same: one rule, for every exam system.

A text that reaches the wrong student cannot be taken back. So a number alone decides nothing when there is more to compare: each
piece of evidence that both sides have is compared, and one that contradicts stops the case for a person.
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
    """What FS says of the student who asked. `realm` is the institution's own, for a user name that has none.

    A number is `None` only where FS's row cannot be read as a whole: it neither agrees nor contradicts then.
    """

    kandidatnr: Personal[int | None] = field(repr=False)
    personlopenr: Personal[int | None] = field(repr=False)
    user_name: Personal[str | None] = field(repr=False)
    realm: str


@dataclass(frozen=True)
class Evidence:
    """What the exam system says of a participant; what it does not say is absent, and neither agrees nor contradicts."""

    candidate_number: Personal[str | None] = field(default=None, repr=False)
    user_names: Personal[frozenset[str]] = field(default=frozenset(), repr=False)
    person_numbers: Personal[frozenset[str]] = field(default=frozenset(), repr=False)


CONTRADICTION: Final = "identity.contradiction"
WHOLE_NUMBER: Final = re.compile(r"0*(\d{1,19})(?:\.0+)?")
"""Leading zeros do not count, nor a fraction of nothing."""
FEIDE: Final = "feide:"
"""Feide's own lists of a user's names put this before `user@realm`."""


class Piece(StrEnum):
    """What is compared. The names may be shown; the values never are."""

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
        """Nothing contradicts, and at least one piece agrees: two where two exist, the only one where there is one."""
        return bool(self.agreeing) and not self.contradicting

    @property
    def is_contradictory(self) -> bool:
        """Something speaks for the participant and something against."""
        return bool(self.agreeing) and bool(self.contradicting)

    @property
    def is_thin(self) -> bool:
        """A single piece: another person may bear it by mistake, and nothing here would show it."""
        return self.is_same and len(self.agreeing) == 1

    @property
    def told(self) -> str:
        """Which pieces say what, in words for an operator."""
        agreeing, contradicting = (", ".join(sorted(pieces)) for pieces in (self.agreeing, self.contradicting))
        return f"agreeing: {agreeing or 'nothing'}; contradicting: {contradicting or 'nothing'}"


def compare(person: Person, evidence: Evidence) -> Comparison:
    """Hold each piece that both sides have against the other."""
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
    """The evidence says two things of one participant: nobody is asked and nothing is handed on.

    `who` are the participant's ids in the exam system's words (`ExamSystem.name_of`).
    """
    return PermanentError(
        CONTRADICTION,
        f"{who} is and is not the person of the request in FS ({comparison.told}).",
        f"Compare candidate number, user name and FS number in FS and {system} and correct what is wrong. A row that is "
        "corrected in FS comes by itself; after a correction in the exam system, replay the message: the participant is looked "
        "for anew. Where FS shows the request as finished, correct its text there by hand if it is another's, and discard the "
        "message.",
        system=system,
    )


Mark = tuple[Piece, str]
"""A piece of evidence in its one spelling; a user name without its realm."""


def marks(evidence: Evidence) -> set[Mark]:
    """What a participant is found by: whoever agrees with a person in any piece has a mark of `marks_of` it."""
    found = {(Piece.PERSON_NUMBER, _number(number)) for number in evidence.person_numbers}
    found.update((Piece.USER_NAME, user) for user, _ in _user_names(evidence.user_names, ""))
    if evidence.candidate_number:
        found.add((Piece.CANDIDATE_NUMBER, _number(evidence.candidate_number)))
    return found


def marks_of(person: Person) -> set[Mark]:
    """Likewise, of a person."""
    found = {(Piece.USER_NAME, user) for user, _ in _user_names({person.user_name or ""}, "")}
    if person.kandidatnr is not None:
        found.add((Piece.CANDIDATE_NUMBER, str(person.kandidatnr)))
    if person.personlopenr is not None:
        found.add((Piece.PERSON_NUMBER, str(person.personlopenr)))
    return found


def user_name_of(name: str, realm: str) -> str | None:
    """A user name in its one spelling, with its realm; `realm` is for one that has none. `None` for what names nobody."""
    return next(("@".join(parts) for parts in _user_names({name}, realm)), None)


def _number(text: str) -> str:
    """Without white space and leading zeros, as FS counts; anything else stays what it is."""
    bare = _bare(text)
    if bare.isascii() and (whole := WHOLE_NUMBER.fullmatch(bare)):
        return whole[1]
    return bare


def _user_names(names: Iterable[str], realm: str) -> set[tuple[str, str]]:
    """User and realm of each; a name without realm is the institution's own (contract 3.2 leaves it open)."""
    split = (_bare(name).casefold().removeprefix(FEIDE).partition("@") for name in names)
    return {(user.strip(), _realm(of) or _realm(realm)) for user, _, of in split if user.strip()}


def _realm(text: str) -> str:
    """A domain, with or without the dot of the root."""
    return _bare(text).casefold().rstrip(".")


def _bare(text: str) -> str:
    """In Unicode's compatible form, without white space around it and without characters that are not drawn."""
    if text.isascii():
        return text.strip()  # its own compatible form; a list of participants is held against each request
    normal = unicodedata.normalize("NFKC", text)
    return "".join(letter for letter in normal if unicodedata.category(letter) != "Cf").strip()
