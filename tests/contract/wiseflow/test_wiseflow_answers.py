"""The exam system port with the simulated WISEflow: whose answer it is, when it was given, and which changes are noticed."""

from datetime import UTC, date, datetime

import pytest

from casebridge.errors import CaseError, NotReadyError, PermanentError, TransientError
from casebridge.exams.models import ExplanationState
from casebridge.institutions.institution import Institution
from resources.text.readable_text import LONGEST
from resources.wiseflow.exam_system import WiseflowExamSystem
from simulators.process import RunningSimulators
from tests.support.recorded_clients import SimulatedWorld, recorded
from tests.support.wiseflow_answers import SEEN, Answered, answered, find


def test_the_deadline_is_the_end_of_the_day_in_oslo_and_the_answer_starts_hidden(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
) -> None:
    case = world.add_request(institution)
    requested = exams.request_explanation(find(exams, case), date(2026, 12, 24))
    assert (requested.created, requested.shown) == (True, False)
    [row] = simulators.control.cases()
    assert datetime.fromtimestamp(row["dueDate"], UTC) == datetime(2026, 12, 24, 22, 59, 59, tzinfo=UTC)
    assert row["showJustification"] is False


@pytest.mark.parametrize("comment_format", ["plain", "html"])
@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_the_answer_is_the_text_of_this_participants_assessor(
    world: SimulatedWorld,
    institution: Institution,
    exams: WiseflowExamSystem,
    simulators: RunningSimulators,
    justification: str,
    comment_format: str,
) -> None:
    simulators.control.modes(justification=justification, comment_format=comment_format)
    one = answered(world, exams, institution, answer_text="Én 👍 tekst\nmed æøå, a < b & <p>\n\nGodt")
    other = answered(world, exams, institution, examId=one.case["examId"], answer_text="En annens tekst")
    assert one.candidate.flow_id == other.candidate.flow_id
    assert one.text(exams) == "Én 👍 tekst\nmed æøå, a < b & <p>\n\nGodt"
    assert other.text(exams) == "En annens tekst"


@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_html_that_is_too_long_to_be_read_never_reaches_fs(
    world: SimulatedWorld,
    institution: Institution,
    exams: WiseflowExamSystem,
    simulators: RunningSimulators,
    justification: str,
) -> None:
    simulators.control.modes(justification=justification)
    text = answered(world, exams, institution, answer_text="<p>Godt</p>" * (LONGEST // 11 + 1)).text(exams)
    with pytest.raises(PermanentError) as caught:
        world.registry(institution, maximum_text_bytes=10 * LONGEST).check_text(text)
    assert caught.value.code == "fs.text_too_long"


def test_an_answer_has_the_time_that_wiseflow_says_and_keeps_it(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
) -> None:
    one = answered(world, exams, institution)
    first = exams.answer(one.candidate.flow_id, one.request_id, one.candidate, SEEN)
    second = exams.answer(one.candidate.flow_id, one.request_id, one.candidate, SEEN)
    explanation = exams.client.explanation(int(one.candidate.flow_id), int(one.request_id))
    assert first == second
    assert first.given_at == explanation.accept_date


def test_an_answer_without_text_is_an_error(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
) -> None:
    one = answered(world, exams, institution, answer_text="  \n")
    with pytest.raises(TransientError) as caught:
        one.text(exams)
    assert caught.value.code == "wiseflow.answer_empty"


def test_an_unlocked_answer_is_not_returned(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
) -> None:
    one = answered(world, exams, institution)
    simulators.control.change_answer(int(one.request_id), "Ny tekst", after_s=600)
    with pytest.raises(NotReadyError) as caught:
        one.text(exams)
    assert caught.value.code == "wiseflow.answer_withdrawn"


def test_an_answer_is_only_given_to_its_own_case(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
) -> None:
    one = answered(world, exams, institution)
    other = find(exams, world.add_request(institution, examId=one.case["examId"]))
    with pytest.raises(PermanentError) as caught:
        exams.answer(one.candidate.flow_id, one.request_id, other, SEEN)
    assert caught.value.code == "wiseflow.participant_mismatch"


def test_a_state_that_wiseflow_does_not_describe_is_no_answer(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
) -> None:
    case = world.add_request(institution, oddity="unknown_state")
    candidate = find(exams, case)
    requested = exams.request_explanation(candidate, None)
    simulators.control.wait("dispatched", 1)
    for _ in range(1000):
        statuses = exams.explanations(candidate.flow_id)
        if statuses[0].state is not ExplanationState.AWAITED:
            break
    assert [one.state for one in statuses] == [ExplanationState.UNKNOWN]
    error = exams.not_followed(statuses, (), ())
    assert error is not None
    assert (error.code, f"explanation request {requested.explanation_request_id} (state 9)" in error.cause) == (
        "wiseflow.state_unknown",
        True,
    )
    with pytest.raises(NotReadyError):
        exams.answer(candidate.flow_id, requested.explanation_request_id, candidate, SEEN)


class TestMarker:
    """A poll compares the marker to notice that an answer changed."""

    def marker(self, exams: WiseflowExamSystem, one: Answered) -> str:
        found = {status.explanation_request_id: status for status in exams.explanations(one.candidate.flow_id)}
        return found[one.request_id].marker

    def test_it_stays_while_nothing_changes(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
    ) -> None:
        one = answered(world, exams, institution)
        assert self.marker(exams, one) == self.marker(exams, one)
        assert self.marker(world.exam_system(institution), one) == self.marker(exams, one)

    @pytest.mark.parametrize("justification", ["comment", "justification"])
    @pytest.mark.parametrize("edit", [False, True])
    def test_a_changed_text_changes_it_and_only_it(
        self,
        world: SimulatedWorld,
        institution: Institution,
        exams: WiseflowExamSystem,
        simulators: RunningSimulators,
        justification: str,
        edit: bool,
    ) -> None:
        simulators.control.modes(justification=justification)
        one = answered(world, exams, institution)
        other = answered(world, exams, institution, examId=one.case["examId"])
        before, other_before = self.marker(exams, one), self.marker(exams, other)
        simulators.control.change_answer(int(one.request_id), "En ny tekst", edit=edit)
        assert self.marker(exams, one) != before
        assert self.marker(exams, other) == other_before
        assert one.text(exams) == "En ny tekst"

    def test_comments_are_read_once_and_only_when_there_can_be_an_answer(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
    ) -> None:
        simulators.control.assessors(paused=True)
        case = world.add_request(institution)
        candidate = find(exams, case)
        exams.request_explanation(candidate, None)
        other = find(exams, world.add_request(institution, examId=case["examId"]))
        exams.request_explanation(other, None)
        recorded(exams.client).exchanges.clear()
        exams.explanations(candidate.flow_id)
        assert recorded(exams.client).paths() == [f"GET /v1/flow/{candidate.flow_id}/explanation/request"]
        simulators.control.assessors(paused=False)
        simulators.control.wait("answered", 2)
        recorded(exams.client).exchanges.clear()
        assert len(exams.explanations(candidate.flow_id)) == 2
        assert recorded(exams.client).paths() == [
            f"GET /v1/flow/{candidate.flow_id}/explanation/request",
            f"GET /v1/flows/{candidate.flow_id}/assessors/submission-comments",
        ]

    def test_a_licence_without_comments_can_still_be_followed(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
    ) -> None:
        one = answered(world, exams, institution)
        simulators.control.faults(
            {"kind": "status", "status": 403, "system": "wiseflow", "path": "submission-comments"}
        )
        assert [status.state for status in exams.explanations(one.candidate.flow_id)] == [ExplanationState.READY]
        with pytest.raises(PermanentError) as caught:
            one.text(exams)
        assert caught.value.code == "wiseflow.comments_off"

    def test_comments_that_cannot_be_read_now_fail_the_poll(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
    ) -> None:
        one = answered(world, exams, institution)
        simulators.control.faults(
            {"kind": "status", "status": 503, "system": "wiseflow", "path": "submission-comments", "times": 1}
        )
        with pytest.raises(CaseError) as caught:
            exams.explanations(one.candidate.flow_id)
        assert caught.value.code == "wiseflow.http_503"


class TestSharedComments:
    """WISEflow lists the comments of a whole flow. Answers read together share one list, and each gets at least its own text."""

    @pytest.fixture
    def two(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem
    ) -> tuple[Answered, Answered]:
        one = answered(world, exams, institution, answer_text="Den ene")
        return one, answered(world, exams, institution, examId=one.case["examId"], answer_text="Den andre")

    def markers(self, exams: WiseflowExamSystem, one: Answered) -> dict[int, str]:
        return {status.explanation_request_id: status.marker for status in exams.explanations(one.candidate.flow_id)}

    def text(self, exams: WiseflowExamSystem, one: Answered, markers: dict[int, str]) -> str:
        return exams.answer(one.candidate.flow_id, one.request_id, one.candidate, SEEN, markers[one.request_id]).text

    def test_answers_that_a_poll_saw_need_no_further_read_of_the_comments(
        self, exams: WiseflowExamSystem, two: tuple[Answered, Answered]
    ) -> None:
        markers = self.markers(exams, two[0])
        recorded(exams.client).exchanges.clear()
        assert [self.text(exams, one, markers) for one in two] == ["Den ene", "Den andre"]
        paths = recorded(exams.client).paths()
        assert [path for path in paths if "participants" not in path] == [
            f"GET /v1/flow/{one.candidate.flow_id}/explanation/request/{one.request_id}" for one in two
        ]
        # The list of who shares a submission must not be older than the comments: one reading for all.
        assert sum("participants" in path for path in paths) == 1

    def test_answers_that_another_process_saw_share_one_reading(
        self, world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, two: tuple[Answered, Answered]
    ) -> None:
        markers = self.markers(world.exam_system(institution), two[0])
        recorded(exams.client).exchanges.clear()
        assert [self.text(exams, one, markers) for one in two] == ["Den ene", "Den andre"]
        assert sum("submission-comments" in path for path in recorded(exams.client).paths()) == 1

    @pytest.mark.parametrize("edit", [False, True])
    def test_a_later_version_than_the_kept_one_is_read(
        self,
        world: SimulatedWorld,
        institution: Institution,
        exams: WiseflowExamSystem,
        simulators: RunningSimulators,
        two: tuple[Answered, Answered],
        edit: bool,
    ) -> None:
        self.markers(exams, two[0])
        simulators.control.change_answer(int(two[0].request_id), "En ny tekst", edit=edit)
        seen_elsewhere = self.markers(world.exam_system(institution), two[0])
        assert self.text(exams, two[0], seen_elsewhere) == "En ny tekst"
        assert self.text(exams, two[1], seen_elsewhere) == "Den andre"

    def test_a_caller_without_a_marker_gets_the_answer_as_it_is_now(
        self, exams: WiseflowExamSystem, simulators: RunningSimulators, two: tuple[Answered, Answered]
    ) -> None:
        self.markers(exams, two[0])
        simulators.control.change_answer(int(two[0].request_id), "En ny tekst", edit=True)
        assert two[0].text(exams) == "En ny tekst"


def test_showing_sends_one_mail(
    world: SimulatedWorld, institution: Institution, exams: WiseflowExamSystem, simulators: RunningSimulators
) -> None:
    one = answered(world, exams, institution)
    exams.show_explanation(one.candidate.flow_id, one.request_id)
    exams.show_explanation(one.candidate.flow_id, one.request_id)
    assert simulators.control.summary()["emails"] == 1
