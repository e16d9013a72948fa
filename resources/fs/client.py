"""FS-Digex for one institution: it lists students' requests and registers their explanations (contract 3).

- Paths, the format of `siden` and further parameters are settings, because the contract leaves them open.
- Rows of requests are returned raw. The flow parses them, so a bad row becomes a failed message and is not lost.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from requests.auth import HTTPBasicAuth

from casebridge.errors import AuthBrokenError, PermanentError, TransientError
from casebridge.exams.exam_key import exam_name
from casebridge.exams.fs_rows import canonical, fs_number
from casebridge.exams.fs_values import moment
from casebridge.exams.models import (
    LINE_NOT_AN_OBJECT,
    LINE_WITHOUT_EXAM,
    LINE_WITHOUT_TIME,
    ChangedExam,
    ExamChanges,
    ExplanationRegistration,
    UnreadableLine,
)
from casebridge.institutions.institution import Institution
from casebridge.secrets import Secrets
from casebridge.settings import FsSettings, HttpSettings
from resources.fs.text import carried_text
from resources.http.client import HttpAnswer, HttpCall, HttpClient, Refusal
from resources.http.json_items import listed
from resources.short_cache import ShortCache

logger = logging.getLogger(__name__)

SYSTEM: Final = "FS"
OSLO: Final = ZoneInfo("Europe/Oslo")
SHARED_SECONDS: Final = 5.0
"""How long rows stay in memory for callers that wait for the same read. Later callers do not get them."""
KEPT_ROWS: Final = 5000
EXAM_FIELDS: Final = ("vurderingsordning", "tid")
"""Fields of the exam that FS may send once for all its rows."""
REQUEST_FIELDS: Final = frozenset({"personlopenr", "kandidatnr", "datoKlageMottat"})
"""Fields that only a request has. A line of the list with one of them is a whole request, not only an exam."""

LONGEST_EXAM_ID: Final = 1024

FORBIDDEN: Final = Refusal(
    AuthBrokenError,
    "forbidden",
    "FS does not let the institution's user do this.",
    "Ask the institution to give its API user access to FS-Digex; its messages wait and go on by themselves.",
)
BAD_LIST_CALL: Final = Refusal(
    PermanentError,
    "list_refused",
    "FS does not understand the question for changes.",
    "Correct CASEBRIDGE_FS__SIDEN_FORMAT, …__EXTRA_PARAMETERS or the institusjonsnr in configDB.orgs.",
)
NO_LIST: Final = Refusal(
    PermanentError,
    "list_unknown",
    "FS has no list of changes at this path.",
    "Correct CASEBRIDGE_FS__LIST_PATH or the examSystem in oai.KlageBegrunnelseEnvs.",
)
EXAM_FORBIDDEN: Final = Refusal(
    PermanentError,
    "exam_forbidden",
    "FS does not let the institution's user see this exam.",
    "Ask the institution to give its API user access to the exam in FS; then replay the message.",
)
UNKNOWN_EXAM: Final = Refusal(
    PermanentError,
    "exam_unknown",
    "FS does not know the exam, or no longer.",
    "Look the vurderingsenhet up in FS; replay the message when it is there.",
)
REFUSED: Final = Refusal(
    PermanentError,
    "refused",
    "FS does not accept the explanation.",
    "Look the request up in FS (Begrunnelse og klage); correct it there or register the explanation by hand.",
)
FINISHED_OTHERWISE: Final = Refusal(
    PermanentError,
    "finished_otherwise",
    "The request was finished in FS with another explanation.",
    "Compare the two in FS and the exam system; if FS's is wrong, reopen the request there and replay the message.",
)
REGISTRATION_REFUSALS: Final = {
    400: REFUSED,
    403: FORBIDDEN,
    404: UNKNOWN_EXAM,
    409: FINISHED_OTHERWISE,
    422: REFUSED,
}


class FsDigexClient:
    """FS for one institution. It implements the port `StudentRegistry`. Thread-safe."""

    def __init__(
        self,
        institution: Institution,
        secrets: Secrets,
        settings: FsSettings,
        http_settings: HttpSettings,
        http: HttpClient | None = None,
    ) -> None:
        self._institution = institution
        self._secrets = secrets
        self._settings = settings
        self.http = http or HttpClient(SYSTEM, institution.fs.base_url, http_settings)
        self._fresh: ShortCache[str, Sequence[dict[str, Any]]] = ShortCache(
            lambda _: SHARED_SECONDS, KEPT_ROWS, weigh=len
        )

    def changed_exams(self, since: datetime) -> ExamChanges:
        """Exams that were created or changed at `since` or later, oldest change first.

        A line that cannot be read is returned as unreadable and does not hide other lines. Raises `PermanentError`
        `fs.list_unreadable` if the answer is not a list: then the whole poll fails and its watermark stays.
        """
        answer = self._get_list(since)
        lines = listed(answer)
        if not isinstance(lines, list):
            raise _unreadable(answer, "it is not a list")
        changes: list[ChangedExam] = []
        unreadable: list[UnreadableLine] = []
        for line in lines:
            change, fault = _read_line(line)
            changes += [change] if change else []
            unreadable += [UnreadableLine(line, fault)] if fault else []
        exams = sorted(_one_for_each_exam(changes), key=_by_change)
        return ExamChanges(tuple(exams), tuple(unreadable))

    def explanation_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The raw rows of one exam, each with its `examId`.

        Something else in the place of a row, or a row of another exam, is returned in the form of a row that cannot be read. The
        readers of rows set it aside. Raises `PermanentError` `fs.exam_unknown` or `fs.exam_forbidden`, and `TransientError`
        `fs.shape_unknown` if the answer is that of another exam.
        """
        answer = self.http.send(
            HttpCall(
                "GET",
                self._settings.exam_path,
                path={"exam_system": self._institution.exam_system, "exam_id": vurd_id},
                auth=self._basic(),
                refusals={403: EXAM_FORBIDDEN, 404: UNKNOWN_EXAM},
            )
        )
        exam = listed(answer, "begrunnelser")
        rows = exam.get("begrunnelser") if isinstance(exam, dict) else exam
        if not isinstance(rows, list):
            raise answer.unreadable("no list of begrunnelser")
        exam_fields = {name: exam[name] for name in EXAM_FIELDS if name in exam} if isinstance(exam, dict) else {}
        if isinstance(exam, dict) and exam.get("examId") not in (None, "") and not _is_of(exam["examId"], vurd_id):
            raise answer.unreadable("examId")  # another exam's answer, perhaps from a cache on the way
        return [_row(row, exam_fields, vurd_id) for row in rows]

    def fresh_rows(self, vurd_id: str) -> Sequence[dict[str, Any]]:
        """The rows as they are now. The call to FS begins after this method was called; simultaneous callers share it."""
        return self._fresh.get_since(vurd_id, lambda: self.explanation_rows(vurd_id), time.monotonic()).value

    def check_text(self, text: str) -> None:
        """Raises `PermanentError` `fs.text_empty` or `fs.text_too_long`."""
        carried_text(text, self._settings.maximum_text_bytes)

    def register_explanation(self, registration: ExplanationRegistration) -> None:
        """Register an explanation (contract 3.3). FS keys it by exam and person, so a repetition has no further effect.

        Raises `PermanentError` `fs.text_empty`, `fs.text_too_long`, `fs.refused`, `fs.exam_unknown` or `fs.finished_otherwise`,
        and `TransientError` `fs.row_still_open` or `fs.shape_unknown` if the answer shows that FS did not accept it.
        """
        carried = carried_text(registration.text, self._settings.maximum_text_bytes)
        if carried.removed:
            logger.info(
                "%s: %d control characters removed from an explanation",
                exam_name(registration.vurd_id),
                carried.removed,
            )
        answer = self.http.send(
            HttpCall(
                "POST",
                self._settings.register_path,
                path={"exam_system": self._institution.exam_system},
                json=_registration_json(registration, carried.text),
                auth=self._basic(),
                refusals=REGISTRATION_REFUSALS,
            )
        )
        if answer.status == 200 or answer.body.strip():
            # A maintenance page with status 200 must not count as a registration.
            _check_accepted(answer, registration)

    def check_credentials(self) -> None:
        """Try the credentials: ask for the changes since now, which has an empty answer. `/versjon` needs no authorisation."""
        self._get_list(datetime.now(UTC))

    def close(self) -> None:
        self.http.close()

    def _get_list(self, since: datetime) -> HttpAnswer:
        return self.http.send(
            HttpCall(
                "GET",
                self._settings.list_path,
                path={"exam_system": self._institution.exam_system},
                query={
                    "institusjonsnr": self._institution.institusjonsnr,
                    "siden": siden(since, self._settings.siden_format),
                    **self._settings.extra_parameters,
                },
                auth=self._basic(),
                refusals={400: BAD_LIST_CALL, 403: FORBIDDEN, 404: NO_LIST},
            )
        )

    def _basic(self) -> HTTPBasicAuth:
        username, password = self._secrets.basic(self._institution.fs.credential_ref)
        # As bytes: requests would encode text as Latin-1, and passwords may have other characters.
        return HTTPBasicAuth(username.encode(), password.encode())


def _is_of(exam_id: Any, vurd_id: str) -> bool:
    """Whether FS's `examId` is the exam `vurd_id`. The spelling may differ."""
    return isinstance(exam_id, str) and canonical(exam_id) == canonical(vurd_id)


def _row(row: Any, exam_fields: Mapping[str, Any], vurd_id: str) -> dict[str, Any]:
    """A row with the fields of its exam. A row of another exam gets an unreadable `examId`, so it counts for nobody here."""
    if not isinstance(row, dict):
        return {"examId": vurd_id, "row": row}
    exam_id = row.get("examId") or vurd_id
    if isinstance(exam_id, str) and not _is_of(exam_id, vurd_id):
        exam_id = {"asked": vurd_id, "answered": exam_id}
    return {**exam_fields, **row, "examId": exam_id}


def siden(since: datetime, siden_format: str) -> str:
    """`since` in the form that FS reads: local time in Oslo, never later than `since` (contract 3.3 `[inferred]`).

    In October one hour comes twice, so a local time in it means two moments. If the format has no offset, FS may take the later
    moment and leave out an hour of changes. So we ask from an hour earlier.
    """
    local = since.astimezone(OSLO)
    is_ambiguous = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    if is_ambiguous and "%z" not in siden_format:
        local = (since - timedelta(hours=1 + local.fold)).astimezone(OSLO)
    return local.strftime(siden_format)


def _registration_json(registration: ExplanationRegistration, text: str) -> dict[str, Any]:
    return {
        "examId": registration.vurd_id,
        "personlopenr": registration.personlopenr,
        "kandidatnr": registration.kandidatnr,
        "kommisjonsId": registration.kommisjons_id,
        "datoVedtakFormidlet": registration.communicated_on.isoformat(),
        "begrunnelse": {"tekst": text, "format": "text/plain"},
    }


def _check_accepted(answer: HttpAnswer, registration: ExplanationRegistration) -> None:
    """Raise `TransientError` if FS's answer shows that it did not accept the registration, whatever the status says.

    FS answers with the row (contract 3.3 `[inferred]`). The registration was not accepted if the row is still open, or belongs to
    another exam or person.
    """
    row = answer.json()
    if not isinstance(row, dict):
        return
    if row.get("examId") and not _is_of(row["examId"], registration.vurd_id):
        raise answer.unreadable("examId")
    if row.get("personlopenr") and fs_number(row["personlopenr"]) != registration.personlopenr:
        raise answer.unreadable("personlopenr")
    if "datoVedtakFormidlet" in row and not row["datoVedtakFormidlet"]:
        raise TransientError(
            "fs.row_still_open",
            f"{answer.where} took the explanation and shows the request as open all the same.",
            f"Look the request up in FS ({exam_name(registration.vurd_id)}) and ask the FS team if it stays open; then replay "
            "the message.",
            system=SYSTEM,
        )


def _read_line(line: Any) -> tuple[ChangedExam | None, str | None]:
    """Read one line of the list: the change, and the code of the line's fault, if it has one.

    A line is an exam or a whole request (contract 3.3 allows both).
    """
    if not isinstance(line, dict):
        return None, LINE_NOT_AN_OBJECT
    vurd_id = line.get("examId")
    if not isinstance(vurd_id, str) or not vurd_id or len(vurd_id) > LONGEST_EXAM_ID or not vurd_id.isprintable():
        return None, LINE_WITHOUT_EXAM
    changed_at = _changed_at(line)
    rows = (line,) if REQUEST_FIELDS & line.keys() else None
    return ChangedExam(vurd_id, changed_at, rows), None if changed_at else LINE_WITHOUT_TIME


def _changed_at(line: Mapping[str, Any]) -> datetime | None:
    try:
        return moment(line.get("sistEndret"))
    except ValueError:
        return None


def _by_change(exam: ChangedExam) -> tuple[float, str]:
    return exam.changed_at.timestamp() if exam.changed_at else 0.0, exam.vurd_id


def _unreadable(answer: HttpAnswer, what: str) -> PermanentError:
    return PermanentError(
        "fs.list_unreadable",
        f"{answer.where} brought a list of changes that cannot be read: {what}.",
        "Send the trace of the call to the FS team; the poll starts from the same time again, and nothing is passed over.",
        system=SYSTEM,
    )


def _one_for_each_exam(changes: Sequence[ChangedExam]) -> list[ChangedExam]:
    """Merge the changes of each exam into one with the newest time, because FS may repeat lines.

    The rows are kept only if every line of the exam has one. Otherwise the exam must be fetched anyway.
    """
    exams: dict[str, list[ChangedExam]] = {}
    for change in changes:
        exams.setdefault(change.vurd_id, []).append(change)
    merged = []
    for vurd_id, lines in exams.items():
        rows: list[dict[str, Any]] = []
        for line in lines:
            rows += [row for row in line.rows or () if row not in rows]
        whole = all(line.rows is not None for line in lines)
        changed_at = max((line.changed_at for line in lines if line.changed_at), default=None)
        merged.append(ChangedExam(vurd_id, changed_at, tuple(rows) if whole else None))
    return merged
