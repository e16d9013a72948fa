"""The simulated assessors: they are assigned to a request for an explanation, write, submit, and write again when unlocked.

All this happens in the event loop, after a delay that depends only on the seed and the participant. So the order of the calls
does not matter: the same data are answered in the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

from simulators.explanation_texts import compose
from simulators.flow import (
    UNKNOWN_STATE,
    AnswerVersion,
    Comment,
    ExplanationRequest,
    ExplanationState,
    Flow,
    Participant,
    ShareType,
)
from simulators.state import World
from simulators.written_text import read, written

ASSIGNED_AFTER = 0.3
"""An assessor is assigned after this part of the whole delay."""
SUBMITTED_AFTER = 0.9
"""The answer is submitted after this part of the whole delay."""


class Assessors:
    """All assessors of all institutions."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._timers: set[asyncio.TimerHandle] = set()
        self._postponed: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Drop all work, because all data are removed."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._postponed.clear()

    def resume(self) -> None:
        """Do the work that was postponed during a pause of the assessors."""
        postponed, self._postponed = self._postponed, []
        for step in postponed:
            step()

    def requested(self, explanation: ExplanationRequest) -> None:
        """Answer a new request after the delay."""
        pace = self._world.pace
        draw = Random(f"{self._world.seed}:delay:{explanation.participant.participant_id}")
        delay = draw.uniform(pace.minimum_delay_s, max(pace.minimum_delay_s, pace.maximum_delay_s))
        self._later(delay * ASSIGNED_AFTER, lambda: self._assign(explanation))
        self._answer_after(delay * SUBMITTED_AFTER, delay * (1 - SUBMITTED_AFTER), explanation)

    def change_answer(self, explanation: ExplanationRequest, text: str | None, *, after_s: float, edit: bool) -> None:
        """Let a manager unlock the answer, and the assessor submit another text (contract 4.8).

        :param text: the new text; with None the simulator composes the next version
        :param after_s: seconds for which the request stays in state 1; with 0 it is submitted again at once
        :param edit: change the existing comment instead of writing a new one
        """
        explanation.state = ExplanationState.ASSIGNED
        explanation.accept_date = None
        self._world.waiting.changed()

        def submit_again() -> None:
            self._submit(explanation, text, edit=edit)
            self._accept(explanation)

        if after_s > 0:
            self._later(after_s, submit_again)
        else:
            submit_again()

    def _answer_after(self, submitted_s: float, accepted_s: float, explanation: ExplanationRequest) -> None:
        def submit() -> None:
            self._submit(explanation, None, edit=False)
            self._later(accepted_s, lambda: self._accept(explanation))

        self._later(submitted_s, submit)

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            if self._world.pace.paused:
                self._postponed.append(step)
            else:
                step()

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def _assign(self, explanation: ExplanationRequest) -> None:
        if explanation.state == ExplanationState.REQUESTED:
            explanation.state = ExplanationState.ASSIGNED
            explanation.assign_date = int(time.time())
            self._world.waiting.changed()

    def _submit(self, explanation: ExplanationRequest, text: str | None, *, edit: bool) -> None:
        now = time.time()
        participant = explanation.participant
        case = self._world.case_of_participant.get(participant.participant_id)
        version = len(explanation.versions) + 1
        if text is None and version == 1 and case is not None:
            text = case.answer_text
        if text is None:
            member = None if participant.group_id is None else participant.participant_id
            text = compose(participant.submission_id or 0, version, seed=self._world.seed, member=member)
        self._assign(explanation)
        answer = self._in_the_format(now, text)
        explanation.versions.append(answer)
        unknown = case is not None and case.oddity == "unknown_state"
        explanation.state = UNKNOWN_STATE if unknown else ExplanationState.SUBMITTED
        if self._world.modes.justification == "comment":
            self._write(explanation.flow, participant, answer.written, now, edit=edit)
        if not explanation.flow.institution.settings.accepts_by_itself:
            self._ready(explanation, now)
        self._world.waiting.changed()

    def _in_the_format(self, now: float, text: str) -> AnswerVersion:
        comment_format = self._world.modes.comment_format
        return AnswerVersion(now, read(text, comment_format), written(text, comment_format))

    def _accept(self, explanation: ExplanationRequest) -> None:
        if explanation.state != ExplanationState.SUBMITTED:
            return
        if explanation.flow.institution.settings.accepts_by_itself:
            now = time.time()
            explanation.state = ExplanationState.ACCEPTED
            explanation.accept_date = max(int(now), explanation.accepted_last + 1)
            explanation.accepted_last = explanation.accept_date
            self._ready(explanation, now)
        self._world.waiting.changed()

    def _ready(self, explanation: ExplanationRequest, now: float) -> None:
        if explanation.ready_at is None:
            explanation.ready_at = now

    def _write(self, flow: Flow, participant: Participant, text: str, now: float, *, edit: bool) -> None:
        answer = _latest_answer(flow, participant) if edit else None
        if answer is not None:
            answer.content, answer.updated_at = text, now
        else:
            self._world.add_comment(flow, participant, text, ShareType.PARTICIPANTS, now)
        self._write_other_comments(flow, participant, now)

    def _write_other_comments(self, flow: Flow, participant: Participant, now: float) -> None:
        """Write newer comments that are no answers: a note to the co-assessors, and a comment for another participant."""
        note = self._in_the_format(now, "Notat til medsensor: se over poengsummen.")
        self._world.add_comment(flow, participant, note.written, ShareType.ASSESSORS, now)
        for other in flow.participants:
            same_assessor = other.assessor is participant.assessor
            asks = other.participant_id in self._world.case_of_participant
            has_its_own = other.submission_id not in {None, participant.submission_id}
            if same_assessor and not asks and has_its_own:
                praise = self._in_the_format(now, "Fin disposisjon.")
                self._world.add_comment(flow, other, praise.written, ShareType.PARTICIPANTS, now)
                return


def _latest_answer(flow: Flow, participant: Participant) -> Comment | None:
    for comment in reversed(flow.comments):
        if comment.container_id == participant.submission_id and comment.share_type == ShareType.PARTICIPANTS:
            return comment
    return None
