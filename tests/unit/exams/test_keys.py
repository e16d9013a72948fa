"""Every key differs for different things, and is the same for harmless spellings of one thing.

A new key gets a row in `KEYS`: the parts that make two things different, and how the key is built from them.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from casebridge.alerts.alert import Alert
from casebridge.exams.explanations import exam_intake
from casebridge.exams.explanations.case_ids import case_id
from casebridge.exams.models import ExplanationRequest
from casebridge.institutions.institution import Institution
from casebridge.institutions.pauses import Pause
from casebridge.messaging.queue.lanes import Lane
from casebridge.messaging.queue.message import Message, NewMessage
from casebridge.served_environment import ServedEnvironment
from casebridge.sources import watermarks
from casebridge.sources.polling import PollOutcome
from casebridge.tenant import environment_of, institution_name, normal_institution, tenant_key

NOW = datetime(2026, 1, 8, tzinfo=UTC)
INSTITUTION = {"org_id": "uis.no", "env": "prod"}
TENANT = {**INSTITUTION, "exam_system": "WISEFLOW"}
OTHER = {
    "org_id": "uio.no", "env": "test", "exam_system": "INSPERA", "queue": "answers", "code": "fs.http_503",
    "submodule": "answers",
    "vurd_id": "MjE3fHxJTkYxMDAwfHwxfHxTfHwyMDI1fHxIw5hTVA", "personlopenr": 2, "set_aside": True,
}  # fmt: skip
SPELLINGS: dict[str, list[str]] = {
    "org_id": ["uis.no ", " UiS.no", "UIS.NO\n"],
    "env": ["Prod", " prod ", "PROD"],
    "exam_system": ["wiseflow", "WISEFLOW ", "\tWiseFlow"],
}


def institution(org_id: str, env: str, exam_system: str) -> Institution:
    return Institution.model_validate(
        {
            "orgId": org_id,
            "navn": "Universitetet",
            "institusjonsnr": 217,
            "env": env,
            "examSystem": exam_system,
            "digex": {"baseUrl": "http://127.0.0.1", "credentialRef": "x"},
        }
    )


def request(vurd_id: str, personlopenr: int) -> ExplanationRequest:
    return ExplanationRequest.model_validate(
        {"examId": vurd_id, "personlopenr": personlopenr, "kandidatnr": 1, "datoKlageMottat": "2026-01-08"}
    )


def message(org_id: str, env: str, exam_system: str) -> Message:
    return Message.from_document(
        NewMessage("key", "requests", org_id, env, "case", "correlation", {}, exam_system=exam_system).document(NOW)
    )


def pause(org_id: str, env: str, exam_system: str) -> str:
    row = {"_id": "x", "institution": f"{org_id}/{env}", "examSystem": exam_system}
    return Pause.of({**row, "system": "FS", "code": "x", "cause": "x", "since": NOW}, 0).who


def lane(org_id: str, env: str, exam_system: str, queue: str) -> tuple[str, str | None]:
    found = Lane.of({"institution": institution_name(org_id, env), "examSystem": exam_system, "queue": queue})
    return tenant_key(found.institution, found.exam_system), found.queue


def alert(org_id: str, env: str, exam_system: str, submodule: str, code: str, *, set_aside: bool) -> str:
    return Alert(
        institution_name(org_id, env), org_id, submodule, "a step", code, "It failed.", "Look.",
        set_aside=set_aside, exam_system=exam_system,
    ).fingerprint  # fmt: skip


Key = Callable[..., Any]
EXAM = {"vurd_id": "MjE3fHxJTkYxMDAwfHwxfHxTfHwyMDI1fHxWw4VS", "personlopenr": 1}
KEYS: dict[str, tuple[dict[str, Any], Key]] = {
    "institution": (INSTITUTION, institution_name),
    "partition and --institution": (INSTITUTION, lambda **parts: institution(**parts, exam_system="WISEFLOW").key),
    "clients": (TENANT, lambda **parts: institution(**parts).tenant),
    "watermark": (TENANT, lambda **parts: watermarks.row_key(institution(**parts), watermarks.MODULE)),
    "pause": (TENANT, pause),
    "message in turn": (TENANT, lambda **parts: message(**parts).tenant),
    "turn of a poll": (
        TENANT,
        lambda org_id, env, exam_system: PollOutcome(institution_name(org_id, env), exam_system=exam_system).tenant,
    ),
    "lane": ({**TENANT, "queue": "requests"}, lane),
    "alert": ({**TENANT, "submodule": "requests", "code": "fs.http_500", "set_aside": False}, alert),
    "row that cannot be read": (TENANT, lambda **parts: exam_intake.row_key(institution(**parts), "a row")),
    "case": (
        {**TENANT, **EXAM},
        lambda org_id, env, exam_system, **row: case_id(institution(org_id, env, exam_system), request(**row)),
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_differs_with_each_of_its_parts(name: str) -> None:
    parts, key = KEYS[name]
    keys = {part: key(**{**parts, part: OTHER[part]}) for part in parts}
    assert len({key(**parts), *keys.values()}) == 1 + len(parts)


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_the_same_for_harmless_spellings(name: str) -> None:
    parts, key = KEYS[name]
    for part in SPELLINGS.keys() & parts.keys():
        for spelling in SPELLINGS[part]:
            assert key(**{**parts, part: spelling}) == key(**parts), (part, spelling)


words = some.text(some.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8)


@given(one=some.tuples(words, words, words), other=some.tuples(words, words, words))
def test_no_two_tenants_share_a_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """No two tenants share a key, even if parts contain slashes."""

    def parts(tenant: tuple[str, str, str]) -> tuple[str, str, str]:
        made = institution(*tenant)
        return made.org_id, made.env, made.exam_system

    same = parts(one) == parts(other)
    assert (institution(*one).tenant == institution(*other).tenant) == same
    assert (institution(*one).key == institution(*other).key) == (parts(one)[:2] == parts(other)[:2])


@given(org_id=words, env=words, exam_system=words)
def test_a_normal_name_is_not_changed(org_id: str, env: str, exam_system: str) -> None:
    """Stored names are used to build keys again and again."""
    made = institution(org_id, env, exam_system)
    again = institution(made.org_id, made.env, made.exam_system)
    assert (again.key, again.tenant) == (made.key, made.tenant)
    assert normal_institution(made.key) == made.key
    assert tenant_key(made.key, made.exam_system) == made.tenant


def test_a_pause_of_an_earlier_version_is_for_all_exam_systems() -> None:
    old = Pause.of({"_id": "UiS.no/prod", "system": "FS", "code": "x", "cause": "x", "since": NOW}, 0)
    keys = {old.who}
    assert Lane("uis.no/prod", "requests", "WISEFLOW").is_among(keys)
    assert Lane("UiS.no/prod", "requests", "INSPERA").is_among(keys)
    assert not Lane("uis.no/test", "requests", "WISEFLOW").is_among(keys)
    assert not Lane("uis.no/prod", "requests", "WISEFLOW").is_among({"uis.no/prod/INSPERA"})


@pytest.mark.parametrize(
    ("institution_of", "is_served"),
    [
        ("uis.no/test", True),
        ("uis.no/ Test", True),
        ("uis.no/prod", False),
        ("dagster", True),
        ("unknown/unknown", True),
        ("uis.no/unknown", True),
        (None, True),
        (217, True),
    ],
)
def test_a_key_without_an_environment_belongs_to_every_environment(institution_of: object, is_served: bool) -> None:
    assert ServedEnvironment.of(" TEST ").serves(institution_of) is is_served
    assert ServedEnvironment.of("").serves(institution_of)
    assert ServedEnvironment.of(None).serves(institution_of)


@given(org_id=words, env=words)
def test_the_environment_can_be_read_from_the_name(org_id: str, env: str) -> None:
    made = institution(org_id, env, "WISEFLOW")
    if made.env != "unknown" and "/" not in made.env and "%" not in made.env:
        assert environment_of(made.key) == made.env


BY_HAND = re.compile(r"""org(_id|Id)[^"\n]{0,12}\}/\{""")
"""Finds an f-string that joins an organisation and something else with a slash."""


def test_names_are_built_in_one_place() -> None:
    root = Path(__file__).parents[3]
    files = [
        path
        for folder in ("casebridge", "resources", "assets", "sensors", "orchestration")
        for path in (root / folder).rglob("*.py")
    ]
    assert len(files) > 100
    assert [path.name for path in files if BY_HAND.search(path.read_text())] == []
    assert BY_HAND.search("""f"{row['orgId']}/{row['env']}" """)
