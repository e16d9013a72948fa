"""Alerts about students whose number or user name in FS has changed since their text was registered.

The text may be another student's. Nothing is registered again: a person must decide whose the text is. Each case is named once
for each change.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from casebridge.alerts.outbox import AlertOutbox
from casebridge.cases.case_alerts import case_alert
from casebridge.clock import Clock
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.identity import Piece, user_name_of
from casebridge.exams.models import ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_text

ALERTED: Final = "identityTold"
"""The field of a case with the identity that the last alert was about."""
Identity = Mapping[str, str]
"""Fingerprints by the piece of identity that they are of; a piece that FS does not have is absent."""


def identity_of(request: ExplanationRequest, realm: str) -> dict[str, str]:
    """The student's identity in FS's row, without the FS number: the row was found by that number."""
    user_name = user_name_of(request.brukernavn or "", realm)
    return {**_number(request.kandidatnr), **({Piece.USER_NAME.value: short_hash(user_name)} if user_name else {})}


class RegisteredIdentities:
    """Several may run at once: at worst people are alerted twice."""

    def __init__(self, cases: Cases, alerts: AlertOutbox, clock: Clock, submodule: str) -> None:
        """`submodule` is the part that compares, as alerts name it."""
        self._cases = cases
        self._alerts = alerts
        self._clock = clock
        self._submodule = submodule

    def compare(self, institution: Institution, found: Sequence[tuple[Case, Sequence[ExplanationRequest]]]) -> None:
        """Compare each registered case with its rows: one or more, all finished in FS. One unchanged row is enough."""
        notes, identities_now, unchanged = {}, {}, []
        for case, rows in found:
            registered_for = _registered_for(case)
            identities = [identity_of(row, institution.realm) for row in rows]
            changed = [_differing(registered_for, identity) for identity in identities]
            if not all(changed):
                unchanged += [case.id] if case.document.get(ALERTED) else []
            elif case.document.get(ALERTED) != (identity := short_hash(*sorted(map(_fingerprint, identities)))):
                notes[case.correlation_id] = f"{', '.join(changed[0])}, seen {self._clock.now():%Y-%m-%d %H:%M:%S}"
                identities_now[case.id] = identity
        if notes:
            # The alert first: a mark without an alert would be silence.
            self._alerts.enqueue(
                case_alert(
                    institution,
                    self._submodule,
                    "case.changed_after_registration",
                    "FS names another student for this request than when the explanation was registered. The text may belong to "
                    "another student.",
                    "Find the case with `casebridge where` and see in the exam system whose the text is. If it is another "
                    "student's, correct the text of both students in FS by hand and tell both. If the row in FS is wrong, ask "
                    "the institution to correct it.",
                    dict(sorted(notes.items())),
                )
            )
            self._cases.note_identities(identities_now)
        if unchanged:
            self._cases.clear_mark(unchanged, ALERTED)


def _registered_for(case: Case) -> Identity:
    """The student for whom the text was registered. Cases of earlier releases have the candidate number alone."""
    known: Any = case.document.get("registeredFor")
    if isinstance(known, Mapping):
        return {piece: value for piece in Piece if is_text(value := known.get(piece.value))}
    number = case.document.get("kandidatnr")
    return _number(number) if isinstance(number, int) and not isinstance(number, bool) else {}


def _number(kandidatnr: int) -> dict[str, str]:
    return {Piece.CANDIDATE_NUMBER.value: short_hash(int(kandidatnr))}


def _differing(before: Identity, now: Identity) -> list[str]:
    """The pieces that both have and that are not the same."""
    return [piece.value for piece in Piece if before.get(piece, now.get(piece)) != now.get(piece, before.get(piece))]


def _fingerprint(identity: Identity) -> str:
    return short_hash(*(identity.get(piece) for piece in Piece))
