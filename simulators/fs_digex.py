"""FS-Digex: the student registry's web service for digital exams (contract 3).

Paths are served in the singular and the plural spelling. Exam systems other than WISEflow are known, but have no requests.
"""

from __future__ import annotations

import base64
import json
import math
import re
import time
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.bodies import read_json
from simulators.exam_case import Case, Exam, Registration
from simulators.front_door import ExternalSystem
from simulators.institution import Institution
from simulators.oslo import OSLO
from simulators.state import World

BASE = "/eksamen"
VERSION = {"versjon": "simulert-1", "tjeneste": "eksamen"}
EXAM_SYSTEMS = frozenset({"WISEFLOW", "INSPERA"})
PLAIN_TEXT = "text/plain"

Handler = Callable[[Request, Institution], Awaitable[Response]]


class RefusedError(Exception):
    """A call that FS refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class FsDigex:
    """The service over the simulated data."""

    def __init__(self, world: World) -> None:
        self._world = world

    def system(self) -> ExternalSystem:
        routes = [Route(f"{BASE}/versjon", self._door(self._version))]
        for spelling in ("begrunnelse", "begrunnelser"):
            path = f"{BASE}/{spelling}/{{examSystem}}"
            routes += [
                Route(path, self._door(self._changed_since), methods=["GET"]),
                Route(path, self._door(self._register), methods=["POST"]),
                Route(f"{path}/{{examId}}", self._door(self._requests_of_exam), methods=["GET"]),
            ]
        return ExternalSystem("fs", BASE, routes, self._organisation)

    def _organisation(self, request: Request) -> str | None:
        institution = self._institution(request)
        return institution.org_id if institution else None

    def _institution(self, request: Request) -> Institution | None:
        """The institution whose user name and password the call has."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:  # not ASCII, not base64, or no text
            return None
        for institution in self._world.institutions.values():
            if institution.fs_username == username and institution.fs_password == password:
                return institution
        return None

    def _door(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            institution = self._institution(request)
            if institution is None or not institution.fs_credentials_valid:
                headers = {"WWW-Authenticate": 'Basic realm="FS"'}
                return JSONResponse({"feil": "Brukernavn eller passord er feil"}, 401, headers)
            try:
                exam_system = request.path_params.get("examSystem")
                if exam_system is not None and exam_system not in EXAM_SYSTEMS:
                    raise RefusedError(404, "Ukjent eksamenssystem")
                return await handler(request, institution)
            except RefusedError as refusal:
                return JSONResponse({"feil": refusal.message}, refusal.status)

        return endpoint

    async def _version(self, _request: Request, _institution: Institution) -> Response:
        return JSONResponse(VERSION)

    async def _changed_since(self, request: Request, institution: Institution) -> Response:
        number = request.query_params.get("institusjonsnr")
        if number is None or not re.fullmatch("[0-9]{1,9}", number):
            raise RefusedError(400, "institusjonsnr mangler eller er ugyldig")
        since = self._since(request.query_params.get("siden"))
        if int(number) != institution.institusjonsnr:
            raise RefusedError(403, "Brukeren har ikke tilgang til institusjonen")
        if request.path_params["examSystem"] != "WISEFLOW":
            return JSONResponse([])
        changed: list[dict[str, Any]] = []
        for exam in self._world.exams.values():
            if exam.institution is institution:
                changed += self._changes_of_exam(exam, since)
        return JSONResponse(self._repeated(changed))

    def _since(self, value: str | None) -> int:
        """``siden`` in whole Unix seconds. Local time is Oslo's (contract 3.3)."""
        mode = self._world.modes.fs_siden
        try:
            if value is None or mode == "unparsable":
                raise ValueError("siden")  # answered below
            if mode == "date":
                moment = datetime.strptime(value, "%d.%m.%Y").replace(tzinfo=OSLO)
            else:
                moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise RefusedError(400, "siden mangler eller er ugyldig") from error
        return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=OSLO)).timestamp())

    def _changes_of_exam(self, exam: Exam, since: int) -> list[dict[str, Any]]:
        changed = [
            case
            for case in self._world.cases_of_exam[exam.exam_id]
            if case.in_fs and math.floor(case.changed_at) >= since
        ]
        if not changed:
            return []
        if self._world.modes.fs_list_shape == "requests":
            return [exam.key_json() | {"sistEndret": _local(case.changed_at)} | row_json(case) for case in changed]
        return [exam.key_json() | {"sistEndret": _local(max(case.changed_at for case in changed))}]

    async def _requests_of_exam(self, request: Request, institution: Institution) -> Response:
        exam = self._exam(request.path_params["examId"], institution)
        rows = [row_json(case) for case in self._world.cases_of_exam[exam.exam_id] if case.in_fs]
        if request.path_params["examSystem"] != "WISEFLOW":
            rows = []
        return JSONResponse({"examId": exam.exam_id, "begrunnelser": self._repeated(rows)})

    def _repeated(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return rows * 2 if self._world.modes.fs_duplicates else rows

    def _exam(self, exam_id: object, institution: Institution) -> Exam:
        exam = self._world.exams.get(exam_id) if isinstance(exam_id, str) else None
        if exam is None:
            raise RefusedError(404, "Ukjent vurderingsenhet")
        if exam.institution is not institution:
            raise RefusedError(403, "Brukeren har ikke tilgang til vurderingsenheten")
        return exam

    async def _register(self, request: Request, institution: Institution) -> Response:
        """Register an explanation. Idempotent on (examId, personlopenr)."""
        body = await _read_registration(request)
        exam = self._exam(body["examId"], institution)
        case = self._world.case_in_fs(exam.exam_id, body["personlopenr"])
        if case is None:
            raise RefusedError(404, "Personen har ingen begrunnelsessak på vurderingsenheten")
        canonical = json.dumps(body, sort_keys=True, ensure_ascii=False)
        text = body["begrunnelse"]["tekst"]
        if case.finished_by_hand and (case.explanation or {}).get("tekst") != text:
            raise RefusedError(409, "Saken er ferdigbehandlet med en annen tekst")
        if case.finished_by_hand or canonical == case.last_body:
            self._world.repeated_posts += 1
        else:
            self._apply(case, body, canonical)
        return JSONResponse({"examId": exam.exam_id} | row_json(case))

    def _apply(self, case: Case, body: dict[str, Any], canonical: str) -> None:
        explanation = self._world.explanation_of_case(case)
        ready = explanation is not None and explanation.ready_at is not None
        now = time.time()
        case.explanation = dict(body["begrunnelse"])
        case.communicated = body["datoVedtakFormidlet"]
        case.last_body = canonical
        case.changed_at = now
        case.registrations.append(Registration(now, body["begrunnelse"]["tekst"], ready))


def row_json(case: Case) -> dict[str, Any]:
    """A row as FS shows it (contract 3.3). A finished row has the result of the case."""
    row: dict[str, Any] = {
        "personlopenr": case.student.personlopenr,
        "kandidatnr": case.kandidatnr,
        "brukernavn": case.student.brukernavn,
        "kommisjonsId": case.kommisjons_id,
        "datoKlageMottat": case.received.isoformat(),
        "datoVedtakFormidlet": case.communicated,
        "frist": case.deadline.isoformat(),
    }
    if case.finished:
        row["ferdigbehandlet"] = "J"
    if case.explanation is not None:
        row["begrunnelse"] = case.explanation
    row |= case.raw
    return {name: value for name, value in row.items() if name not in case.omit}


def _local(moment: float) -> str:
    return datetime.fromtimestamp(math.floor(moment), OSLO).isoformat()


async def _read_registration(request: Request) -> dict[str, Any]:
    """The body of a registration, checked by all rules that do not need the case."""
    try:
        body = read_json(await request.body())
    except ValueError as error:
        raise RefusedError(400, "Innholdet er ikke JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("examId"), str):
        raise RefusedError(400, "examId mangler")
    for name in ("personlopenr", "kandidatnr"):
        if not isinstance(body.get(name), int) or isinstance(body[name], bool):
            raise RefusedError(400, f"{name} mangler eller er ugyldig")
    if body.get("kommisjonsId") is not None and not isinstance(body["kommisjonsId"], str):
        raise RefusedError(400, "kommisjonsId er ugyldig")
    try:
        date.fromisoformat(str(body.get("datoVedtakFormidlet")))
    except ValueError as error:
        raise RefusedError(400, "datoVedtakFormidlet mangler eller er ugyldig") from error
    _check_explanation(body.get("begrunnelse"))
    return body


def _check_explanation(explanation: object) -> None:
    if not isinstance(explanation, dict):
        raise RefusedError(400, "begrunnelse mangler")
    text = explanation.get("tekst")
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(400, "Begrunnelsens tekst mangler")
    if explanation.get("format", PLAIN_TEXT) != PLAIN_TEXT:
        raise RefusedError(400, "Begrunnelsens format er ukjent")
