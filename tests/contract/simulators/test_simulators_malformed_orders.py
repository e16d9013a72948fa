"""Orders to the control interface with one malformed field. A refused one changes nothing; after an accepted one all calls work.

New orders, fields and faults are tried without a change here. The servers' applications are called in this process: so a
failure shows where it happens, also in the work of the assessors, and thousands of calls take seconds.
"""

import asyncio
import base64
import json
import pickle
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlencode

import pytest
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from simulators import (
    added_request,
    case_changes,
    control,
    faults,
    fs_digex,
    laas,
    modes,
    population,
    rate_limit,
    slack,
    wiseflow,
)
from simulators.assessors import Assessors
from simulators.exam_case import REGISTERED, Case
from simulators.flow import Participant
from simulators.front_door import FrontDoor
from simulators.state import AssessorPace, World

MALFORMED: Final[tuple[object, ...]] = (
    None, True, -1, 0, 0.001, 1e300, 42, 10**18, 10**400, "", "3", "nan", "€", "a\r\nb", "(" * 5000 + ")" * 5000, "9" * 4000,
    "9999-12-31", "0001-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59", [], ["x"], [1], [{}],
    [[1, 2]], {}, {"a": 1}, json.loads("[" * 400 + "]" * 400),
)  # fmt: skip
Order = tuple[str, dict[str, Any], str]
"""Path, order, and the name of the malformed field."""


@dataclass
class Applications:
    """The applications, over a world with a case that is answered and one that nobody has asked about."""

    failures: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.world = World(1)
        self.assessors = Assessors(self.world)
        self.control: ASGIApp = control.Control(self.world, self.assessors).application()
        self.systems: dict[str, ASGIApp] = {
            system.name: FrontDoor(self.world, system)
            for system in (
                fs_digex.FsDigex(self.world).system(), wiseflow.Wiseflow(self.world, self.assessors).system(),
                laas.Laas(self.world).system(), slack.Slack(self.world).system(),
            )
        }  # fmt: skip

    async def populate(self) -> None:
        self.begin()
        world = {"institutions": 1, "courses": 1, "requests": 3, "seed": 3, "variety": False, "hold": False}
        await self.post_order("/population", world)
        await self.post_order("/assessors", {"minimum_delay_s": 0, "maximum_delay_s": 0})
        await self.prepare_cases()

    async def prepare_cases(self) -> None:
        """Find the two cases, and let the first one be answered."""
        self.answered, self.unasked, *_ = (one for one in self.world.cases.values() if one.expected == REGISTERED)
        self.institution = self.answered.institution
        self.exam = self.answered.exam
        participant = self.world.participant_of_case(self.answered)
        self.flow_id = next(flow.flow_id for flow in self.world.flows.values() if participant in flow.participants)
        token = json.loads((await self.log_in())[1])["access_token"]
        self.token = {"Authorization": f"Bearer {token}".encode(), "Content-Type": b"application/json"}
        await self.ask_for(self.answered.participant_id)
        await self.let_assessors_work()
        (self.request,) = self.world.explanations.values()
        assert self.request.ready_at is not None

    async def let_assessors_work(self) -> None:
        """Let the assessors do all that is due: the steps of an answer follow each other without a delay."""
        for _ in range(12):
            await asyncio.sleep(0)

    async def post_order(self, path: str, order: object) -> int:
        return (await call(self.control, "POST", path, json.dumps(order).encode()))[0]

    def state(self) -> bytes:
        """The state that orders can change."""
        world = self.world
        of_case = [name for name in Case.__slots__ if name not in {"exam", "student"}]
        return pickle.dumps((
            [[getattr(case, name) for name in of_case] for case in world.cases.values()],
            [(one.unique_exam_id, one.external_ids, one.group_id, one.submission_id) for one in self.participants()],
            [(one.fs_credentials_valid, one.wiseflow_credentials_valid) for one in world.institutions.values()],
            [(one.state, one.accept_date, one.versions) for one in world.explanations.values()],
            world.seed, world.faults.rules, world.modes, world.pace, world.rates, world.tokens,
            list(world.exams), list(world.flows), [case.case_id for case in world.held],
        ))  # fmt: skip

    def participants(self) -> Iterator[Participant]:
        for flow in self.world.flows.values():
            yield from flow.participants

    async def fs(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> "Answer":
        login = f"{self.institution.fs_username}:{self.institution.fs_password}".encode()
        headers = {"Authorization": b"Basic " + base64.b64encode(login)}
        return await call(self.systems["fs"], method, f"/eksamen{path}", as_json(body), headers, query)

    async def wiseflow(self, method: str, path: str, body: object = None) -> "Answer":
        return await call(self.systems["wiseflow"], method, f"/v1{path}", as_json(body), self.token)

    async def log_in(self) -> "Answer":
        form = {
            "client_id": self.institution.client_id, "client_secret": self.institution.client_secret,
            "grant_type": "client_credentials",
        }  # fmt: skip
        headers = {"Content-Type": b"application/x-www-form-urlencoded"}
        return await call(self.systems["wiseflow"], "POST", "/v1/oauth2/token", urlencode(form).encode(), headers)

    async def ask_for(self, participant_id: int | None) -> "Answer":
        body = {"participantId": participant_id, "showJustification": False}
        return await self.wiseflow("POST", f"/flow/{self.flow_id}/explanation/request", body)

    def a_few_calls(self) -> Iterator[tuple[str, Coroutine[Any, Any, "Answer"]]]:
        """A few calls are enough for faults: a fault affects all calls of a system alike."""
        yield "version of FS", self.fs("GET", "/versjon")
        yield "search", self.wiseflow("POST", "/sources/search", {"sourceCode": self.exam.source_code})
        yield "flow", self.wiseflow("GET", f"/flow/{self.flow_id}")
        yield "faults", call(self.control, "GET", "/faults")

    def each_kind_of_call(self) -> Iterator[tuple[str, Coroutine[Any, Any, "Answer"]]]:
        """The calls of a program that uses the simulators as intended."""
        numbers = {"personlopenr": self.answered.student.personlopenr, "kandidatnr": self.answered.kandidatnr}
        text = {"examId": self.exam.exam_id, "datoVedtakFormidlet": "2026-01-15", "begrunnelse": {"tekst": "x"}}
        since = {"institusjonsnr": self.institution.institusjonsnr, "siden": "0001-01-01T00:00:00"}
        flow, flows = f"/flow/{self.flow_id}", f"/flows/{self.flow_id}"
        request = f"{flow}/explanation/request/{self.request.explanation_id}"
        yield from self.a_few_calls()
        yield "list of FS", self.fs("GET", "/begrunnelse/WISEFLOW", query=since)
        yield "rows of FS", self.fs("GET", f"/begrunnelser/WISEFLOW/{self.exam.exam_id}")
        yield "registration", self.fs("POST", "/begrunnelser/WISEFLOW", text | numbers)
        yield "token", self.log_in()
        yield "old search", self.wiseflow("GET", f"/license/sis/flows/{self.exam.exam_id}")
        yield "request", self.ask_for(self.unasked.participant_id)
        for path in (f"{flow}/participants", f"{flow}/explanation/request", request, f"{flows}/participants",
                     f"{flows}/participants/{self.answered.participant_id}", f"{flows}/sources",
                     f"{flows}/assessors/submission-comments"):  # fmt: skip
            yield path, self.wiseflow("GET", path)
        yield "visibility", self.wiseflow("PATCH", request, {"showJustification": True})
        message = {"channel": "c", "text": "x", "token": "xoxb-1"}
        headers = {"Content-Type": b"application/json"}
        yield "Slack", call(self.systems["slack"], "POST", "/api/chat.postMessage", as_json(message), headers)
        yield "LaaS", call(self.systems["laas"], "POST", "/index/_doc", as_json({"x": 1}), headers)
        for path in ("/cases", "/summary", "/slack/messages", "/laas/documents", "/requests-log"):
            yield path, call(self.control, "GET", path)


Answer = tuple[int, bytes]
Orders = Callable[[Applications], Iterator[Order]]
Calls = Callable[[Applications], Iterator[tuple[str, Coroutine[Any, Any, Answer]]]]


def as_json(body: object) -> bytes:
    return b"" if body is None else json.dumps(body).encode()


async def call(
    application: ASGIApp, method: str, path: str, body: bytes = b"", headers: Mapping[str, bytes] | None = None,
    query: Mapping[str, object] | None = None,
) -> Answer:  # fmt: skip
    """Make one call. An exception of the application is raised here."""
    sent: list[Message] = []
    scope = {
        "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(), "http_version": "1.1",
        "scheme": "http",
        "query_string": urlencode(query or {}).encode(), "root_path": "", "server": ("simulators", 80), "extensions": {},
        "headers": [(name.lower().encode(), value) for name, value in (headers or {}).items()],
    }  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def right_orders(one: Applications) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """Each order in its right form, and the fields that it can have."""
    org_id, case_id = one.institution.org_id, one.answered.case_id
    yield "/population", {"institutions": 1, "courses": 1, "requests": 3}, list(population.FIELDS)
    yield "/release", {}, ["count"]
    yield "/requests", {"orgId": org_id}, list(added_request.FIELDS)
    yield "/requests", {"orgId": org_id, "examId": one.exam.exam_id}, ["oddity", "kandidatnr", "externalIds"]
    yield "/requests", {"orgId": org_id, "groupWith": case_id}, ["oddity", "expected", "externalIds"]
    yield "/withdraw", {"caseId": case_id}, list(case_changes.WITHDRAWAL)
    yield "/change", {"caseId": case_id}, list(case_changes.FIELDS)
    yield "/change", {"caseId": case_id, "swapWith": one.unasked.case_id}, ["kandidatnr", "expected", "in_wiseflow"]
    yield "/assessors", {}, list(AssessorPace.__slots__)
    yield "/answers/change", {"explanationRequestId": one.request.explanation_id}, list(control.CHANGED_ANSWER)
    yield "/credentials", {"orgId": org_id, "system": "fs", "valid": True}, list(control.CREDENTIALS)
    yield "/tokens/expire", {}, ["x"]
    yield "/faults", {}, ["rules"]
    yield "/modes", {}, list(modes.CHOICES)
    yield "/rates", {}, list(rate_limit.Rates.__slots__)


def malformed_orders(one: Applications) -> Iterator[Order]:
    for path, right, fields in right_orders(one):
        for name in [*fields, "unknown"]:
            for malformed in MALFORMED:
                yield path, right | {name: malformed}, name


def malformed_rules(_one: Applications) -> Iterator[Order]:
    """Rules without `drop`: a dropped connection is what such a rule asks for (see ``test_simulators_faults``)."""
    for place, kind in enumerate(sorted(faults.KINDS - {"drop"})):
        for name in faults.FIELDS:
            for malformed in (*MALFORMED, 204, 304):
                if name != "seconds" or not isinstance(malformed, int) or malformed <= 0:
                    rule = {"kind": kind, "system": ("fs", "wiseflow")[place % 2], "seconds": 0, name: malformed}
                    yield "/faults", {"rules": [rule]}, name


async def check(orders: Orders, calls: Calls) -> tuple[list[str], int, int]:
    """Returns what failed, and how many orders were accepted and refused."""
    one, failed, accepted, refused = Applications(), list[str](), 0, 0
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(f"assessors: {context}"))
    await one.populate()
    before = one.state()
    for path, order, name in list(orders(one)):
        where = f"{path} {name} in {ascii(order)[:90]}"
        status = await guarded(one.post_order(path, order), failed, where)
        is_changed = one.state() != before
        if status == 400:
            refused += 1
            if is_changed:
                failed.append(f"{where} was refused and changed the world")
        elif status == 200:
            accepted += 1
            if is_changed:
                await prepare_and_call(one, path, calls, failed, where)
        else:
            failed.append(f"{where}: {status}")
        await one.post_order("/faults", {"rules": []})
        if is_changed and one.state() != before:
            one.assessors.stop()
            await one.populate()
            before = one.state()
    return failed, accepted, refused


async def prepare_and_call(one: Applications, path: str, calls: Calls, failed: list[str], where: str) -> None:
    if path == "/population" and len(one.world.cases) > 1:
        await one.prepare_cases()
    for kind, calling in calls(one):
        answer = await guarded(calling, failed, f"{where}, then {kind}")
        if answer is not None and answer[0] == 500:
            failed.append(f"{where}, then {kind}: {answer}")
    await one.let_assessors_work()


async def guarded(calling: Coroutine[Any, Any, Any], failed: list[str], where: str) -> Any:
    try:
        return await calling
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the order before it
        failed.append(f"{where}: {error!r}")
        return None


@pytest.mark.parametrize(
    ("orders", "calls"),
    [(malformed_orders, Applications.each_kind_of_call), (malformed_rules, Applications.a_few_calls)],
    ids=["orders", "rules"],
)
def test_no_order_makes_a_call_fail(orders: Orders, calls: Calls) -> None:
    failed, accepted, refused = asyncio.run(check(orders, calls))
    assert failed == []
    assert accepted > 100
    assert refused > 500


def test_each_order_of_the_control_interface_is_tried() -> None:
    async def paths() -> tuple[set[str], set[str]]:
        one = Applications()
        await one.populate()
        routes = control.Control(one.world, one.assessors).application().routes
        posts = {route.path for route in routes if isinstance(route, Route) and "POST" in (route.methods or ())}
        return posts, {path for path, _, _ in right_orders(one)}

    known, tried = asyncio.run(paths())
    assert tried == known
