"""The explanation cases: one document in `oai.begrunnelser` for each student's request on one exam, from FS request to FS answer.

`cases.store` has what all kinds of cases have in common. This module has what only explanations have (contract 6.1).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Final

from pymongo import UpdateOne

from casebridge.cases.case import DISCARDED
from casebridge.cases.store import CaseStore
from casebridge.clock import Clock, is_far_ahead
from casebridge.database import Database, Document
from casebridge.exams.deadlines import answer_deadline, at_midnight
from casebridge.exams.exam_key import spellings
from casebridge.exams.explanations.case import Case
from casebridge.exams.explanations.case_fields import FIELDS, OWN_FIELDS
from casebridge.exams.explanations.case_ids import case_id, former_ids
from casebridge.exams.explanations.case_state import LIFECYCLE, OPEN, CaseState
from casebridge.exams.external_id import both_forms
from casebridge.exams.models import CandidatePlace, CaseType, ExplanationRequest
from casebridge.institutions.former_institution import Owner
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_text, moment_of
from casebridge.readable_documents import readable

KEPT_VERSIONS: Final = 20
"""How many versions of its row a case remembers. So a record of Kafka that comes again is not taken for a change."""
PROGRESS: Final = (
    CaseState.REQUESTED,
    CaseState.WITHDRAWN,
    CaseState.DISPATCHED,
    CaseState.REGISTERED,
    CaseState.SHOWN,
)
"""The states, by how far a case has come."""
MOST_OF_A_CANDIDATE: Final = 50


class Cases(CaseStore[Case]):
    """Reads and writes `oai.begrunnelser`. If FS gives no deadline, it is `deadline_days` after the request."""

    def __init__(self, database: Database, clock: Clock, deadline_days: int) -> None:
        super().__init__(database.cases, clock, Case, OWN_FIELDS)
        self._deadline_days = deadline_days

    # Writes of the flows

    def open(self, institution: Institution, requests: Sequence[ExplanationRequest]) -> dict[str, Case]:
        """Open a case for each request that has none. This takes one insert and one find for all requests.

        The result has the cases by `case_id`. A case of an earlier version may have another id in its document.
        """
        wanted = {case_id(institution, request): request for request in requests}
        existing = self._existing(institution, wanted)
        absent = [self._document(key, institution, wanted[key]) for key in wanted if key not in existing]
        return existing | {case.id: case for case in self.insert_new(absent)}

    def _existing(self, institution: Institution, wanted: Mapping[str, ExplanationRequest]) -> dict[str, Case]:
        """The stored cases, found by their current or a former id. If there are two, the one that has come further."""
        keys = {former: key for key, request in wanted.items() for former in former_ids(institution, request)}
        keys |= {key: key for key in wanted}
        found: dict[str, Case] = {}
        for case in self.by_ids(keys):
            key = keys[case.id]
            found[key] = max(found.get(key, case), case, key=lambda one: (PROGRESS.index(one.state), one.id == key))
        return found

    def revise(self, case: Case, request: ExplanationRequest) -> Case:
        """Set the version of the case to that of the request. Return the case.

        - A version that differs from the last one makes a new revision, even if the case had it before.
        - A case of an earlier release has no version. It takes the version of the request without a new revision, unless it was
          opened or sent on for another candidate or commission.
        - If several processes see the same change, one makes the revision and the others find it.
        """
        for _ in range(20):  # each time another process may be faster
            if case.version == request.version:
                return case
            stored = {name: case.document.get(name) for name in ("version", "revision", "versions")}
            versions = stored["versions"] if isinstance(stored["versions"], list) else []
            revision = case.revision + (1 if case.version or _differs(case, request) else 0)
            kept = [*versions, request.version][-KEPT_VERSIONS:]
            self._collection.update_one(
                {"_id": case.id, **{name: {"$eq": value} for name, value in stored.items()}},
                {"$set": {"version": request.version, "revision": revision, "versions": kept}},
            )
            (case,) = self.by_ids([case.id])
        raise ValueError("a case cannot be revised")

    def renew(self, case: Case) -> Case:
        """Add a revision without a new version, so that the case gets a new message. Return the case."""
        self._collection.update_one(
            {"_id": case.id, "version": case.version, "revision": {"$eq": case.document.get("revision")}},
            {"$set": {"revision": case.revision + 1}},
        )
        (renewed,) = self.by_ids([case.id])  # if another process was faster, its revision is as good
        return renewed

    def _document(self, key: str, institution: Institution, request: ExplanationRequest) -> Document:
        deadline = answer_deadline(request.dato_klage_mottatt, request.frist, self._deadline_days)
        fields = {
            "examSystem": institution.exam_system,
            "type": CaseType.EXPLANATION.value,
            "vurdId": request.vurd_id,
            "personlopenr": request.personlopenr,
            "kandidatnr": request.kandidatnr,
            "kommisjonsId": request.kommisjons_id,
            "askedOn": at_midnight(request.dato_klage_mottatt),
            "deadline": at_midnight(deadline),
            "version": request.version,
            "versions": [request.version],
            "revision": 0,
        }
        return self.new_document(key, institution.org_id, institution.env, fields)

    def withdraw(self, keys: Iterable[object]) -> None:
        """Withdraw cases that were finished in FS by hand. Cases that we have answered do not change."""
        self.move(keys, CaseState.WITHDRAWN)

    def reopen(self, key: str) -> None:
        """Reopen a withdrawn case, because its row in FS is open again."""
        self._collection.update_one(
            {"_id": {"$eq": key}, "state": {"$in": list(LIFECYCLE.before(CaseState.REQUESTED))}},
            {"$set": {"state": CaseState.REQUESTED.value, "reopenedAt": self._clock.now()}},
        )

    # Reads of the polls

    def awaiting_answer(
        self, institution: str, watched_since: datetime | None, flow_id: str | None = None
    ) -> list[Document]:
        """The raw cases that wait for their answer.

        With `watched_since`, also those that were answered since then, because their answers may have changed, and those without
        the time of their answer. With `flow_id`, only cases on that flow.
        """
        where: Document = {"institution": institution}
        if flow_id is not None:
            where["flowId"] = {"$in": both_forms(flow_id)}
        documents = list(self._collection.find({**where, "state": CaseState.DISPATCHED.value}, FIELDS))
        if watched_since is not None:
            documents += self._collection.find(
                {
                    **where,
                    "state": {"$in": [CaseState.REGISTERED.value, CaseState.SHOWN.value]},
                    "registeredAt": {"$not": {"$lt": watched_since}},
                },
                FIELDS,
            )
        return documents

    def on_participant(self, case: Case, candidate: CandidatePlace) -> list[Document]:
        """The raw other cases of the institution and exam system with the same participant, without the withdrawn ones."""
        found = self._collection.find(
            {
                "flowId": {"$in": both_forms(candidate.flow_id)},
                "participantId": {"$in": both_forms(candidate.participant_id)},
                "institution": {"$eq": case.institution},
                "examSystem": {"$eq": case.document.get("examSystem")},
                "_id": {"$ne": case.id},
                "state": {"$ne": CaseState.WITHDRAWN.value},
            },
            FIELDS,
        )
        return list(found)

    def on_flows(self, institution: str, flow_ids: Iterable[str]) -> list[Case]:
        """The cases of an institution whose candidates are on these flows, in any state."""
        where = {"flowId": {"$in": both_forms(*flow_ids)}, "institution": institution}
        documents = self._collection.find(where, FIELDS)
        return readable(documents, Case.from_document)

    def by_exam_and_candidate(self, vurd_id: str, kandidatnr: int) -> list[Case]:
        """The cases of a candidate number on an exam, in any spelling. At most `MOST_OF_A_CANDIDATE`, usually one."""
        where = {"vurdId": {"$in": sorted(spellings(vurd_id))}, "kandidatnr": kandidatnr}
        return readable(self._collection.find(where, FIELDS).limit(MOST_OF_A_CANDIDATE), Case.from_document)

    # Reads for the comparison with FS

    def documents_on_exams(self, institution: Institution, vurd_ids: Iterable[str]) -> list[Document]:
        """The raw cases of an institution and exam system on these exams, in any spelling of the exams' ids."""
        names = {spelling for vurd_id in vurd_ids for spelling in spellings(vurd_id)}
        if not names:
            return []
        # The query has the indexed field only, and the rest is selected here: with another field some servers read every case.
        found = self._collection.find({"vurdId": {"$in": sorted(names)}}, FIELDS)
        return [document for document in found if _is_of(document, institution)]

    def exams_to_compare(self, institution: Institution, settled_since: datetime) -> set[str]:
        """The exams of cases that are open, or were registered or withdrawn since then, or do not say when."""
        where = {"institution": institution.key, "examSystem": institution.exam_system}
        registered = {"$in": [CaseState.REGISTERED.value, CaseState.SHOWN.value]}
        selections: list[Document] = [
            {"state": {"$in": list(OPEN)}},
            {"state": registered, "registeredAt": {"$not": {"$lt": settled_since}}},
            {"state": CaseState.WITHDRAWN.value, "withdrawnAt": {"$not": {"$lt": settled_since}}},
        ]
        found = (
            row.get("vurdId") for each in selections for row in self._collection.find({**where, **each}, {"vurdId": 1})
        )
        return {vurd_id for vurd_id in found if is_text(vurd_id)}

    def past_deadline(self, institution: Owner, today: date, limit: int) -> list[Document]:
        """The open cases whose legal deadline is over and that no alert has named yet, without the discarded ones."""
        fields = dict.fromkeys(
            ("correlationId", "deadline", "deadlineToldAt", "setAside", "institution", "examSystem"), 1
        )
        now = self._clock.now()
        overdue = (
            document
            for state in OPEN
            for document in self._collection.find(
                {"institution": institution.key, "state": state, "deadline": {"$lt": at_midnight(today)}}, fields
            )
            if _is_news(document, now) and document.get("setAside") != DISCARDED and _is_of(document, institution)
        )
        return list(islice(overdue, limit))

    def note_identities(self, identities: Mapping[str, str]) -> None:
        """Store for each case the identity in FS that an alert has reported (`registered_identity`)."""
        self._write_apart(
            [UpdateOne({"_id": {"$eq": key}}, {"$set": {"identityTold": one}}) for key, one in identities.items()]
        )


def _differs(case: Case, request: ExplanationRequest) -> bool:
    """Whether a case without a version was opened, or sent on, for another candidate or commission."""
    known = case.document.get("kandidatnr"), case.document.get("kommisjonsId")
    return known != (request.kandidatnr, request.kommisjons_id)


def _is_news(document: Document, now: datetime) -> bool:
    """Whether no alert has named the case since its deadline passed.

    If FS moves the deadline after an alert, the case is named again. A time of the alert that lies far in the future is ignored.
    """
    alerted, deadline = moment_of(document, "deadlineToldAt"), moment_of(document, "deadline")
    return deadline is not None and (alerted is None or alerted < deadline or is_far_ahead(alerted, now))


def _is_of(document: Document, institution: Owner) -> bool:
    return (document.get("institution"), document.get("examSystem")) == (institution.key, institution.exam_system)
