"""Builds the capability for grade explanations from the parts of the platform."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from casebridge.capability import Capability, CaseKind, DailyCount, IndexedCollection, Queue
from casebridge.exams.explanations import (
    answer_poller,
    case_state,
    exam_intake,
    explanation_event_record,
    passed_deadlines,
    request_intake,
    request_reader,
)
from casebridge.exams.explanations.answer_announcement import answer_announcer
from casebridge.exams.explanations.answer_flow import REGISTERED, AnswerFlow
from casebridge.exams.explanations.answer_poller import AnswerPoller
from casebridge.exams.explanations.awaited_dispatch import awaited_dispatch
from casebridge.exams.explanations.case_indexes import INDEXES
from casebridge.exams.explanations.case_state import CaseState
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.explanations.exam_flow import ExamFlow
from casebridge.exams.explanations.exam_intake import ExamIntake
from casebridge.exams.explanations.explanation_event_flow import ExplanationEventFlow
from casebridge.exams.explanations.explanation_event_record import ExplanationEventRecords
from casebridge.exams.explanations.explanation_request_record import ExplanationRequestRecords
from casebridge.exams.explanations.inactive_institutions import InactiveInstitutions
from casebridge.exams.explanations.moved_deadlines import MovedDeadlines
from casebridge.exams.explanations.passed_deadlines import PassedDeadlines
from casebridge.exams.explanations.reopened import Reopenings
from casebridge.exams.explanations.request_flow import RequestFlow
from casebridge.exams.explanations.request_reader import RequestReader
from casebridge.exams.explanations.rows_gone import RowsGone
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import MessageStatus
from casebridge.sources.polling import PollOutcome
from casebridge.sources.source import PollRange, Source
from casebridge.sources.watermarks import ANSWERS, Watermarks
from resources.wiring.platform import Platform

NAME: Final = "explanations"
CASES: Final[Mapping[str, str]] = {
    CaseState.REQUESTED: "requested",
    CaseState.DISPATCHED: "dispatched",
    CaseState.REGISTERED: "registered",
    CaseState.SHOWN: "registered",
    CaseState.WITHDRAWN: "withdrawn",
}
DAILY: Final = (
    DailyCount("request_explanation", "today_dispatched"),
    DailyCount("register_explanation", "today_registered", frozenset({None, REGISTERED})),
    DailyCount("show_explanation", "today_shown"),
)


@dataclass(frozen=True, kw_only=True)
class Explanations(Capability):
    """The declaration, and the objects that the Dagster assets of explanations use."""

    cases: Cases
    watermarks: Watermarks
    reader: RequestReader
    poller: AnswerPoller
    requests: Source
    answers: Source


def build(platform: Platform) -> Explanations:
    """Build the capability. This connects to nothing."""
    settings, stores = platform.settings, platform.stores
    cases = Cases(stores.database, stores.clock, settings.answers.deadline_days)
    watermarks = Watermarks(stores.database, stores.clock)
    reader, poller = _reader(platform, cases, watermarks), _poller(platform, cases)
    requests, answers = _sources(cases, reader, poller)
    kafka = settings.kafka
    uses_kafka = bool(kafka.bootstrap_servers)
    events = (Queue(ExplanationEventFlow(stores.institutions, poller)),) if uses_kafka else ()
    return Explanations(
        name=NAME,
        queues=(*_queues(platform, cases, reader), *events),
        sources=(requests, answers),
        record_readers={
            kafka.explanation_requests_topic: ExplanationRequestRecords(stores.institutions, cases),
            kafka.wiseflow_events_topic: ExplanationEventRecords(stores.institutions, cases),
        },
        announcers=(answer_announcer(kafka.explanation_answers_topic),) if uses_kafka else (),
        case_kinds=(CaseKind(cases, CASES, frozenset(case_state.OPEN)),),
        daily_counts=DAILY,
        collections=(IndexedCollection(stores.database.cases, INDEXES),),
        submodules=frozenset(
            {
                exam_intake.SUBMODULE,
                answer_poller.SUBMODULE,
                passed_deadlines.SUBMODULE,
                explanation_event_record.QUEUE,  # its messages may still be stored if Kafka was on earlier
            }
        ),
        cases=cases,
        watermarks=watermarks,
        reader=reader,
        poller=poller,
        requests=requests,
        answers=answers,
    )


def _queues(platform: Platform, cases: Cases, reader: RequestReader) -> tuple[Queue, ...]:
    stores, clients = platform.stores, platform.clients
    exams = ExamFlow(stores.institutions, reader.read_exam)
    requests = RequestFlow(
        stores.institutions,
        clients,
        cases,
        platform.settings.answers.deadline_days,
        MovedDeadlines(cases, stores.alerts),
    )
    asked = partial(_asked, platform)
    answers = AnswerFlow(stores.institutions, clients, cases, stores.queue.accept, asked)
    return (
        Queue(exams, "explanation_requests"),
        Queue(requests, "dispatched_requests"),
        Queue(answers, "registered_explanations"),
    )


def _asked(platform: Platform, case_id: str) -> frozenset[MessageStatus]:
    return platform.stores.queue.statuses_of(case_id, request_intake.QUEUE)


def _reader(platform: Platform, cases: Cases, watermarks: Watermarks) -> RequestReader:
    stores = platform.stores
    intake = ExamIntake(
        stores.queue,
        cases,
        stores.audit,
        stores.clock,
        Reopenings(cases, stores.alerts).take,
        RowsGone(cases, stores.alerts).compare,
        stores.alerts,
    )
    deadlines = PassedDeadlines(cases, stores.alerts, stores.clock)
    inactive = InactiveInstitutions(
        stores.institutions, watermarks, cases, stores.served, stores.alerts, deadlines, stores.clock
    )
    return RequestReader(
        platform.clients,
        stores.queue,
        cases,
        watermarks,
        platform.polling,
        stores.clock,
        platform.settings.fs,
        intake,
        deadlines,
        inactive,
    )


def _poller(platform: Platform, cases: Cases) -> AnswerPoller:
    stores = platform.stores
    return AnswerPoller(
        platform.clients,
        stores.queue,
        cases,
        Watermarks(stores.database, stores.clock, ANSWERS),
        platform.polling,
        stores.clock,
        timedelta(days=platform.settings.answers.watch_days),
    )


def _sources(cases: Cases, reader: RequestReader, poller: AnswerPoller) -> tuple[Source, Source]:
    def read(institutions: Sequence[Institution], what: PollRange) -> list[PollOutcome]:
        return reader.read_new(institutions, reach_back=what.reach_back, budget_seconds=what.budget_seconds)

    def poll(institutions: Sequence[Institution], what: PollRange) -> list[PollOutcome]:
        return poller.poll(institutions, also_answered=what.also_finished, budget_seconds=what.budget_seconds)

    awaited = partial(awaited_dispatch, cases)
    return (
        Source("requests", "FS", read, request_reader.QUEUES, "sent", awaited=awaited),
        Source("answers", "WISEflow", poll, (answer_poller.QUEUE,), "registered", brings_outcomes=True),
    )
