"""Counts what happened in the simulated systems. Tests, the demo and the benchmarks judge by these numbers.

Texts are judged strictly: a text is wrong if it differs by one character from the text of the assessor of exactly that
participant. Of an HTML text, the part that a person reads is compared.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from simulators.exam_case import REGISTERED, Case, Registration
from simulators.population import expected_ends
from simulators.state import World

FEWER_IS_REACHED = frozenset({"outstanding", "held"})
"""The conditions that must fall to the number that is waited for. All others must rise to it."""


SHOWN = 1_000
"""The number of characters that are shown of a wrong text. All texts are invented."""


def conditions(world: World) -> dict[str, int]:
    """The numbers that can be waited for."""
    cases = world.cases.values()
    return {
        "requests": sum(case.in_fs for case in cases),
        "held": len(world.held),
        "dispatched": len(world.explanations),
        "submitted": sum(bool(one.versions) for one in world.explanations.values()),
        "answered": sum(one.ready_at is not None for one in world.explanations.values()),
        "registered": sum(case.registered for case in cases),
        "registrations": sum(len(case.registrations) for case in cases),
        "outstanding": sum(case.outstanding for case in cases),
        "repeated_posts": world.repeated_posts,
        "shown": sum(one.made_visible for one in world.explanations.values()),
        "emails": world.emails,
        "alerts": len(world.slack_messages),
        "laas_documents": len(world.laas_documents),
        "calls": world.traffic.by_system.total(),
        "rate_limited": sum(limit.refused for limit in world.rate_limits.values()),
    }


def summary(world: World) -> dict[str, Any]:
    """All counts, as the answer to ``GET /summary``."""
    counts: dict[str, Any] = dict(conditions(world))
    registered = [case for case in world.cases.values() if case.registrations]
    first = [case.registrations[0].at for case in registered]
    latencies = sorted(seconds for case in registered if (seconds := _latency(world, case)) is not None)
    return counts | {
        "registered_twice": sum(_registered_twice(world, case) for case in registered),
        "registered_out_of_order": sum(_registered_out_of_order(world, case) for case in registered),
        "registered_too_early": sum(not case.registrations[0].answer_was_ready for case in registered),
        "wrong_text": sum(_wrong_texts(world, case) for case in registered),
        "stale_text": sum(_is_stale(world, case) for case in registered),
        "dispatched_to_wrong_participant": sum(
            participant_id not in world.case_of_participant for participant_id in world.explanation_of_participant
        ),
        "calls": dict(world.traffic.by_system),
        "calls_by_route": dict(sorted(world.traffic.by_route.items())),
        "latency_s": {"p50": _percentile(latencies, 50), "p95": _percentile(latencies, 95)},
        "first_registered_at": min(first, default=None),
        "last_registered_at": max((case.registrations[-1].at for case in registered), default=None),
        "expected": expected_ends(world),
    }


def case_rows(world: World) -> list[dict[str, Any]]:
    """One row for each case, as the answer to ``GET /cases``."""
    return [_case_row(world, case) for case in world.cases.values()]


def _case_row(world: World, case: Case) -> dict[str, Any]:
    explanation = world.explanation_of_case(case)
    return {
        "caseId": case.case_id,
        "orgId": case.institution.org_id,
        "examId": case.exam.exam_id,
        "sourceCode": case.exam.source_code,
        "personlopenr": case.student.personlopenr,
        "kandidatnr": case.kandidatnr,
        "datoKlageMottat": case.received.isoformat(),
        "frist": case.deadline.isoformat(),
        "oddity": case.oddity,
        "dataFaults": case.data_faults,
        "expected": case.expected,
        "state": _state(world, case),
        "participantId": case.participant_id,
        "flowId": explanation.flow.flow_id if explanation else None,
        "explanationRequestId": explanation.explanation_id if explanation else None,
        "explanationState": int(explanation.state) if explanation else None,
        "dueDate": explanation.due_date if explanation else None,
        "showJustification": explanation.show_justification if explanation else None,
        "answerVersions": len(explanation.versions) if explanation else 0,
        "registrations": len(case.registrations),
        "mistakes": _mistakes(world, case),
        "registeredVersions": _registered_versions(world, case),
        "textIsRight": case.registered and not _is_wrong(world, case, case.registrations[-1]),
        "datoVedtakFormidlet": case.communicated,
        "visibleAt": case.visible_at,
        "dispatchedAt": explanation.created_at if explanation else None,
        "answeredAt": explanation.ready_at if explanation else None,
        "registeredAt": case.registrations[0].at if case.registrations else None,
        "latencyS": _latency(world, case),
    }


def _registered_versions(world: World, case: Case) -> list[dict[str, Any]]:
    """The time and the version of each registration. A text of no version has the version None, and its beginning is shown."""
    explanation = world.explanation_of_case(case)
    places = {version.text: place for place, version in enumerate(explanation.versions if explanation else (), start=1)}
    return [
        {"at": one.at, "version": places.get(one.text)} | ({} if one.text in places else {"text": one.text[:SHOWN]})
        for one in case.registrations
    ]


def _mistakes(world: World, case: Case) -> dict[str, int]:
    """The part of this case in the summary's counts of the same names, without zeros."""
    if not case.registrations:
        return {}
    counted = {
        "registered_twice": _registered_twice(world, case),
        "registered_out_of_order": _registered_out_of_order(world, case),
        "registered_too_early": int(not case.registrations[0].answer_was_ready),
        "wrong_text": _wrong_texts(world, case),
        "stale_text": int(_is_stale(world, case)),
    }
    return {name: count for name, count in counted.items() if count}


def _state(world: World, case: Case) -> str:
    explanation = world.explanation_of_case(case)
    if case.registered:
        return "registered"
    if case.finished_by_hand or case.removed:
        return "withdrawn"
    if explanation is not None:
        return "dispatched" if explanation.ready_at is None else "answered"
    return "held" if case.visible_at is None else "visible"


def _latency(world: World, case: Case) -> float | None:
    """The seconds that casebridge took: from visible to registered, without the time of the assessor."""
    explanation = world.explanation_of_case(case)
    if not case.registrations or case.visible_at is None or explanation is None or explanation.ready_at is None:
        return None
    assessors_share = explanation.ready_at - explanation.created_at
    return case.registrations[0].at - case.visible_at - assessors_share


def _registered_twice(world: World, case: Case) -> int:
    """The number of registrations too many: more than WISEflow has versions, or with the same text as the one before.

    Each time a row was opened again, one more registration is allowed.
    """
    explanation = world.explanation_of_case(case)
    versions = len(explanation.versions) if explanation else 0
    texts = [registration.text for registration in case.registrations]
    repeated = sum(
        text == before for place, (before, text) in enumerate(pairwise(texts), start=1) if place not in case.reopenings
    )
    return max(len(texts) - max(1, versions) - len(case.reopenings), repeated)


def _registered_out_of_order(world: World, case: Case) -> int:
    """The number of registrations of an earlier version of the answer than the registration before."""
    explanation = world.explanation_of_case(case)
    places = {version.text: place for place, version in enumerate(explanation.versions if explanation else ())}
    known = [places[one.text] for one in case.registrations if one.text in places]
    return sum(later < earlier for earlier, later in pairwise(known))


def _wrong_texts(world: World, case: Case) -> int:
    """The number of registrations whose text the assessor of the case's participant had not written by then."""
    return sum(_is_wrong(world, case, registration) for registration in case.registrations)


def _is_wrong(world: World, case: Case, registration: Registration) -> bool:
    explanation = world.explanation_of_case(case)
    versions = explanation.versions if explanation else []
    return all(version.text != registration.text or version.at > registration.at for version in versions)


def _is_stale(world: World, case: Case) -> bool:
    """Whether the case should be registered, and there is a newer answer than the one in FS."""
    if not case.registered or case.expected != REGISTERED:
        return False
    explanation = world.explanation_of_case(case)
    return bool(explanation and explanation.versions and explanation.versions[-1].text != case.registrations[-1].text)


def _percentile(ordered: list[float], percent: int) -> float | None:
    """The nearest-rank percentile."""
    if not ordered:
        return None
    return round(ordered[math.ceil(len(ordered) * percent / 100) - 1], 4)
