"""Exams (vurderingsenheter) and the requests for an explanation on them, as FS keeps them.

A case also has what the simulators count about it (when it appeared, how often it was registered), next to FS's own fields.
``fs_digex`` has FS's answers over HTTP.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from simulators.institution import Institution, Student

REGISTERED = "registered"
"""The expected end of an ordinary case. Any other expected end is the reason why a case is not registered."""

DAYS_TO_EXPLAIN = 14


@dataclass(slots=True)
class Exam:
    """A vurderingsenhet with FS's six key columns (contract 3.2)."""

    institution: Institution
    emnekode: str
    versjonskode: str
    vurdkombkode: str
    arstall: int
    vurdtidkode: str
    title: str

    @property
    def source_code(self) -> str:
        """The key as WISEflow's SIS source writes it (contract 4.3)."""
        key = (self.institution.institusjonsnr, self.emnekode, self.versjonskode, self.vurdkombkode,
               self.arstall, self.vurdtidkode)  # fmt: skip
        return "||".join(str(part) for part in key)

    @property
    def exam_id(self) -> str:
        """The key as FS-Digex writes it in addresses and bodies: base64url without padding (contract 3.2)."""
        return base64.urlsafe_b64encode(self.source_code.encode()).decode().rstrip("=")

    def key_json(self) -> dict[str, Any]:
        return {
            "examId": self.exam_id,
            "institusjonsnr": self.institution.institusjonsnr,
            "emnekode": self.emnekode,
            "versjonskode": self.versjonskode,
            "vurdkombkode": self.vurdkombkode,
            "arstall": self.arstall,
            "vurdtidkode": self.vurdtidkode,
        }


@dataclass(slots=True)
class Registration:
    """One registration that changed the row in FS."""

    at: float
    text: str
    answer_was_ready: bool
    """Whether the answer in WISEflow had reached the institution's answer state before."""


@dataclass(slots=True)
class Case:
    """One row of FS's screen "Begrunnelse og klage", type BEGRUNN."""

    case_id: int
    exam: Exam
    student: Student
    kandidatnr: int
    kommisjons_id: str | None
    received: date
    deadline: date
    changed_at: float
    expected: str = REGISTERED
    oddity: str | None = None
    participant_id: int | None = None
    """The only participant in WISEflow whose assessor must answer. None if there is none."""
    answer_text: str | None = None
    """The text that the assessor will write. With None the simulator composes one."""
    raw: dict[str, Any] = field(default_factory=dict)
    omit: frozenset[str] = frozenset()
    visible_at: float | None = None
    communicated: str | None = None
    explanation: dict[str, Any] | None = None
    finished_by_hand: bool = False
    removed: bool = False
    last_body: str | None = None
    registrations: list[Registration] = field(default_factory=list)
    reopenings: list[int] = field(default_factory=list)
    """The number of registrations at each time when the row was opened again."""
    data_faults: list[str] = field(default_factory=list)
    """The deliberate errors that the control interface made in the row or the participant."""

    @property
    def institution(self) -> Institution:
        return self.exam.institution

    @property
    def in_fs(self) -> bool:
        """Whether FS shows the row at all."""
        return self.visible_at is not None and not self.removed

    @property
    def finished(self) -> bool:
        return self.finished_by_hand or self.explanation is not None

    @property
    def registered(self) -> bool:
        """Registered, and not opened again since."""
        return len(self.registrations) > (self.reopenings[-1] if self.reopenings else 0)

    @property
    def outstanding(self) -> bool:
        """Visible in FS, expected to be registered, and not registered yet."""
        return self.in_fs and self.expected == REGISTERED and not self.registered

    def reopen(self) -> None:
        """Open the row without a result, whatever its state was before."""
        self.removed = self.finished_by_hand = False
        self.explanation = self.communicated = self.last_body = None
        self.reopenings.append(len(self.registrations))


def deadline_after(received: date) -> date:
    """Two weeks after the request. A deadline on a weekend moves to Monday (contract 7, without public holidays)."""
    deadline = received + timedelta(days=DAYS_TO_EXPLAIN)
    days_over = deadline.weekday() - 4
    return deadline + timedelta(days=3 - days_over) if days_over > 0 else deadline
