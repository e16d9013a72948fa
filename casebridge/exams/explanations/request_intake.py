"""Creates case and message of an explanation request, for each source of requests: first the case, then the message.

The key of a message does not depend on the source, so a request that comes from FS and from Kafka is one case and one message.
"""

from collections.abc import Sequence
from typing import Final

from casebridge.crash_points import crash_point
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.explanations.cases import Cases
from casebridge.exams.models import ExplanationRequest
from casebridge.fingerprint import short_hash
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import NewMessage

QUEUE: Final = "wiseflow-begrunnelse"


def open_cases(
    cases: Cases, institution: Institution, requests: Sequence[ExplanationRequest], *, from_record: bool = False
) -> dict[str, Case]:
    """Open a case for each request that has none. Return the cases by case id, each with the version of its request.

    The cases come before the messages: nothing could be reported about a message without a case.

    A row in FS is the present state, so each change of it is a new revision. A record of Kafka (`from_record`) is an earlier
    state and may come again. It makes a new revision only if the case never had its version.
    """
    opened = cases.open(institution, requests)
    for request in requests:
        key = case_id(institution, request)
        case = opened[key]
        if case.version != request.version and not (from_record and case.has_seen(request.version)):
            opened[key] = cases.revise(case, request)
    crash_point("cases_written")
    return opened


def request_message(institution: Institution, request: ExplanationRequest, cases: dict[str, Case]) -> NewMessage:
    """The message of a request. Its case must be among `cases`.

    A row that changes to another version and back has three revisions and so three messages. The key of the first revision is
    the same as in earlier releases.
    """
    case = cases[case_id(institution, request)]
    reopened = case.document.get("withdrawnAt")
    revision = case.revision if case.version == request.version else 0
    return NewMessage(
        key=short_hash(QUEUE, case.id, request.version, reopened, *([revision] if revision else [])),
        queue=QUEUE,
        org_id=institution.org_id,
        env=institution.env,
        exam_system=institution.exam_system,
        ordering_key=case.id,
        correlation_id=case.correlation_id,
        payload={"caseId": case.id, "request": request.model_dump(mode="json", by_alias=True)},
    )
