"""The explanation cases: one document in `oai.begrunnelser` for each student's request on one exam, from FS request to FS answer.

What every kind of case is read and written by is in `cases.store`; here is what only explanations have (contract 6.1).
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
"""Versions of a row that a case remembers: a record of Kafka that comes again must not pass for a change."""
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
    """Reads and writes `oai.begrunnelser`. `deadline_days` count from the request where FS names no date."""

    def __init__(self, database: Database, clock: Clock, deadline_days: int) -> None:
        super().__init__(database.cases, clock, Case, OWN_FIELDS)
        self._deadline_days = deadline_days

    # What the flows write

    def open(self, institution: Institution, requests: Sequence[ExplanationRequest]) -> dict[str, Case]:
        """See to it that each request has its case. One insert and one find for all of them.

        The cases by `case_id`; the id in a case of an earlier version may be another.
        """
        wanted = {case_id(institution, request): request for request in requests}
        existing = self._existing(institution, wanted)
        absent = [self._document(key, institution, wanted[key]) for key in wanted if key not in existing]
        return existing | {case.id: case for case in self.insert_new(absent)}

    def _existing(self, institution: Institution, wanted: Mapping[str, ExplanationRequest]) -> dict[str, Case]:
        """The cases that are there, under today's id or a former one; of two, the one that has come further."""
        keys = {former: key for key, request in wanted.items() for former in former_ids(institution, request)}
        keys |= {key: key for key in wanted}
        found: dict[str, Case] = {}
        for case in self.by_ids(keys):
            key = keys[case.id]
            found[key] = max(found.get(key, case), case, key=lambda one: (PROGRESS.index(one.state), one.id == key))
        return found

    def revise(self, case: Case, request: ExplanationRequest) -> Case:
        """The case with the request's version. A version that differs from the last makes a new revision, also one seen before.

        A case of an earlier release does not say its version: it takes the request's for its last, unless what it does say is
        otherwise. Of several processes that see the same change one makes the revision, and the others find it.
        """
        for _ in range(20):  # as often another process may be faster
            if case.version == request.version:
                return case
            seen = {name: case.document.get(name) for name in ("version", "revision", "versions")}
            versions = seen["versions"] if isinstance(seen["versions"], list) else []
            revision = case.revision + (1 if case.version or _differs(case, request) else 0)
            kept = [*versions, request.version][-KEPT_VERSIONS:]
            self._collection.update_one(
                {"_id": case.id, **{name: {"$eq": value} for name, value in seen.items()}},
                {"$set": {"version": request.version, "revision": revision, "versions": kept}},
            )
            (case,) = self.by_ids([case.id])
        raise ValueError("a case cannot be revised")

    def renew(self, case: Case) -> Case:
        """The case with one more revision of the version that it has, for a message of its own."""
        self._collection.update_one(
            {"_id": case.id, "version": case.version, "revision": {"$eq": case.document.get("revision")}},
            {"$set": {"revision": case.revision + 1}},
        )
        (renewed,) = self.by_ids([case.id])  # where another was faster, its revision is as good
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
        """FS finished these by hand; those that we had answered stay as they are."""
        self.move(keys, CaseState.WITHDRAWN)

    def reopen(self, key: str) -> None:
        """FS took back that the case is finished: it is asked for anew."""
        self._collection.update_one(
            {"_id": {"$eq": key}, "state": {"$in": list(LIFECYCLE.before(CaseState.REQUESTED))}},
            {"$set": {"state": CaseState.REQUESTED.value, "reopenedAt": self._clock.now()}},
        )

    # What pollers read

    def awaiting_answer(
        self, institution: str, watched_since: datetime | None, flow_id: str | None = None
    ) -> list[Document]:
        """The raw cases that the exam system has; with `watched_since` also those answered since, in case the answer changed.

        One that does not say when it was answered is among them. With `flow_id`, only those on that flow.
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
        """The raw other cases of the institution that are asked, or answered, of the same participant of its exam system."""
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
        """Cases whose candidates sit on these flows of an institution, whatever their state."""
        where = {"flowId": {"$in": both_forms(*flow_ids)}, "institution": institution}
        documents = self._collection.find(where, FIELDS)
        return readable(documents, Case.from_document)

    def by_exam_and_candidate(self, vurd_id: str, kandidatnr: int) -> list[Case]:
        """The exam in any spelling; usually one case, at most `MOST_OF_A_CANDIDATE`."""
        where = {"vurdId": {"$in": sorted(spellings(vurd_id))}, "kandidatnr": kandidatnr}
        return readable(self._collection.find(where, FIELDS).limit(MOST_OF_A_CANDIDATE), Case.from_document)

    # What a read of FS is compared with

    def documents_on_exams(self, institution: Institution, vurd_ids: Iterable[str]) -> list[Document]:
        """The raw cases of an institution and exam system on these exams, in whatever spelling the exam's id was stored."""
        names = {spelling for vurd_id in vurd_ids for spelling in spellings(vurd_id)}
        if not names:
            return []
        # By the index alone, what is left is chosen here: with a further field some servers read every case.
        found = self._collection.find({"vurdId": {"$in": sorted(names)}}, FIELDS)
        return [document for document in found if _is_of(document, institution)]

    def exams_to_compare(self, institution: Institution, settled_since: datetime) -> set[str]:
        """The exams of cases that are open, or were registered or withdrawn since, or do not say when."""
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
        """Open cases whose legal deadline is over and of which nobody was told yet; not the discarded ones."""
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
        """People were told of these cases that the student is another one in FS now: by case, who (`registered_identity`)."""
        self._write_apart(
            [UpdateOne({"_id": {"$eq": key}}, {"$set": {"identityTold": told}}) for key, told in identities.items()]
        )


def _differs(case: Case, request: ExplanationRequest) -> bool:
    """Whether a case that does not say its version was opened, or sent on, for another candidate or commission."""
    known = case.document.get("kandidatnr"), case.document.get("kommisjonsId")
    return known != (request.kandidatnr, request.kommisjons_id)


def _is_news(document: Document, now: datetime) -> bool:
    """Whether nobody was told since the deadline was over: one that FS has moved since is told of anew.

    That somebody was told is not believed of a time far ahead.
    """
    told, deadline = moment_of(document, "deadlineToldAt"), moment_of(document, "deadline")
    return deadline is not None and (told is None or told < deadline or is_far_ahead(told, now))


def _is_of(document: Document, institution: Owner) -> bool:
    return (document.get("institution"), document.get("examSystem")) == (institution.key, institution.exam_system)
