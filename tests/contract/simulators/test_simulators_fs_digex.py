"""The simulated FS-Digex: the rules of contract 3."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.process import RunningSimulators, running
from tests.support.simulator_callers import FsCaller, fs_of, registration

pytestmark = pytest.mark.contract

OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture(scope="module")
def simulators() -> Iterator[RunningSimulators]:
    with running(seed=12) as started:
        yield started


@pytest.fixture
def world(simulators: RunningSimulators) -> dict[str, Any]:
    simulators.control.modes(fs_list_shape="exams", fs_siden="normal", fs_duplicates=False)
    return simulators.control.population(institutions=2, courses=4, requests=20, seed=12, hold=True, oddities=False)


@pytest.fixture
def fs(simulators: RunningSimulators, world: dict[str, Any]) -> FsCaller:
    return fs_of(simulators, world["institutions"][0])


@pytest.fixture
def case(simulators: RunningSimulators, fs: FsCaller) -> dict[str, Any]:
    return simulators.control.add_request(fs.institution["orgId"])


def only_row(fs: FsCaller, case: dict[str, Any]) -> dict[str, Any]:
    rows = fs.rows(case["examId"])
    assert len(rows) == 1
    return rows[0]


class TestAccess:
    def test_version_needs_basic_authentication(self, fs: FsCaller) -> None:
        refused = fs.get_anonymously("/versjon")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="FS"')
        assert "versjon" in fs.get("/versjon").json()

    def test_credentials_can_be_withdrawn_and_given_back(self, simulators: RunningSimulators, fs: FsCaller) -> None:
        org_id = fs.institution["orgId"]
        simulators.control.credentials(org_id, "fs", valid=False)
        assert fs.changed_since().status_code == 401
        simulators.control.credentials(org_id, "fs", valid=True)
        assert fs.changed_since().status_code == 200

    def test_another_institution_is_forbidden(
        self, simulators: RunningSimulators, world: dict[str, Any], fs: FsCaller, case: dict[str, Any]
    ) -> None:
        other = fs_of(simulators, world["institutions"][1])
        number = str(fs.institution["institusjonsnr"])
        answer = other.get("/begrunnelse/WISEFLOW", institusjonsnr=number, siden="2026-01-01T00:00:00")
        assert answer.status_code == 403
        assert other.get(f"/begrunnelser/WISEFLOW/{case['examId']}").status_code == 403
        assert other.register(registration(case["examId"], only_row(fs, case), "Tekst.")).status_code == 403


class TestWhatChanged:
    def test_an_exam_has_the_key_of_the_contract(self, fs: FsCaller, case: dict[str, Any]) -> None:
        (exam,) = fs.changed_since().json()
        key = "||".join(
            str(exam[name])
            for name in ("institusjonsnr", "emnekode", "versjonskode", "vurdkombkode", "arstall", "vurdtidkode")
        )
        assert exam["examId"] == base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
        assert set(exam) == {
            "examId", "institusjonsnr", "emnekode", "versjonskode", "vurdkombkode", "arstall", "vurdtidkode",
            "sistEndret",
        }  # fmt: skip

    def test_a_row_has_the_fields_of_the_contract(self, fs: FsCaller, case: dict[str, Any]) -> None:
        row = only_row(fs, case)
        assert set(row) == {
            "personlopenr", "kandidatnr", "brukernavn", "kommisjonsId", "datoKlageMottat", "datoVedtakFormidlet",
            "frist",
        }  # fmt: skip
        assert row["datoVedtakFormidlet"] is None

    def test_held_requests_appear_when_they_are_released(self, simulators: RunningSimulators, fs: FsCaller) -> None:
        assert fs.changed_since().json() == []
        assert simulators.control.release(3) == {"released": 3, "held": 17}
        assert simulators.control.release() == {"released": 17, "held": 0}
        rows = [row for exam in fs.changed_since().json() for row in fs.rows(exam["examId"])]
        assert 0 < len(rows) < 20

    def test_siden_includes_its_own_second_and_takes_local_time_and_offsets(
        self, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        changed = datetime.fromisoformat(fs.changed_since().json()[0]["sistEndret"])
        local = changed.astimezone(OSLO).replace(tzinfo=None)
        utc = changed.astimezone(ZoneInfo("UTC"))
        later = timedelta(seconds=1)
        found = [
            len(fs.changed_since(moment.isoformat()).json()) for moment in (local, utc, local + later, utc + later)
        ]
        assert found == [1, 1, 0, 0]

    @pytest.mark.parametrize("query", [{}, {"siden": "in spring"}, {"siden": ""}])
    def test_a_bad_siden_is_refused(self, fs: FsCaller, query: dict[str, str]) -> None:
        number = str(fs.institution["institusjonsnr"])
        assert fs.get("/begrunnelse/WISEFLOW", institusjonsnr=number, **query).status_code == 400

    @pytest.mark.parametrize("number", [{}, {"institusjonsnr": "UiS"}])
    def test_a_bad_institution_number_is_refused(self, fs: FsCaller, number: dict[str, str]) -> None:
        assert fs.get("/begrunnelse/WISEFLOW", siden="2026-01-01T00:00:00", **number).status_code == 400

    def test_both_spellings_are_served(self, fs: FsCaller, case: dict[str, Any]) -> None:
        number = str(fs.institution["institusjonsnr"])
        plural = fs.get("/begrunnelser/WISEFLOW", institusjonsnr=number, siden="2026-01-01T00:00:00")
        singular = fs.get(f"/begrunnelse/WISEFLOW/{case['examId']}")
        assert plural.json() == fs.changed_since("2026-01-01T00:00:00").json()
        assert singular.json()["begrunnelser"] == fs.rows(case["examId"])

    def test_another_exam_system_has_nothing_and_an_unknown_one_is_404(self, fs: FsCaller) -> None:
        query = {"institusjonsnr": str(fs.institution["institusjonsnr"]), "siden": "2026-01-01"}
        assert fs.get("/begrunnelse/INSPERA", **query).json() == []
        assert fs.get("/begrunnelse/PAPIR", **query).status_code == 404

    def test_an_unknown_exam_is_404(self, fs: FsCaller) -> None:
        assert fs.get("/begrunnelser/WISEFLOW/bm8").status_code == 404

    def test_a_changed_deadline_shows_the_exam_again(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.change(case["caseId"], frist="2027-01-04", kandidatnr=4711)
        row = only_row(fs, case)
        assert (row["frist"], row["kandidatnr"]) == ("2027-01-04", 4711)


class TestModes:
    def test_the_list_can_contain_the_requests_themselves(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.modes(fs_list_shape="requests")
        (listed,) = fs.changed_since().json()
        assert only_row(fs, case).items() <= listed.items()

    def test_siden_can_be_a_norwegian_date_or_never_right(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.modes(fs_siden="date")
        assert (fs.changed_since().status_code, len(fs.changed_since("01.01.2026").json())) == (400, 1)
        simulators.control.modes(fs_siden="unparsable")
        assert fs.changed_since("01.01.2026").status_code == 400

    def test_everything_can_come_twice(self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]) -> None:
        simulators.control.modes(fs_duplicates=True)
        assert (len(fs.changed_since().json()), len(fs.rows(case["examId"]))) == (2, 2)

    def test_a_mode_that_does_not_exist_is_refused(self, simulators: RunningSimulators) -> None:
        with pytest.raises(ValueError, match="no such mode"):
            simulators.control.modes(fs_list_shape="tree")


class TestRegistering:
    def test_the_result_is_on_the_row(self, fs: FsCaller, case: dict[str, Any]) -> None:
        body = registration(case["examId"], only_row(fs, case), "Begrunnelse 🎓 med æøå\nog linjer.")
        assert fs.register(body).status_code == 200
        row = only_row(fs, case)
        assert row["ferdigbehandlet"] == "J"
        assert row["datoVedtakFormidlet"] == "2026-01-15"
        assert row["begrunnelse"] == body["begrunnelse"]

    def test_the_same_body_again_has_no_effect(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        body = registration(case["examId"], only_row(fs, case), "Tekst.")
        assert [fs.register(body).status_code for _ in range(3)] == [200, 200, 200]
        numbers = simulators.control.summary()
        assert (numbers["registered"], numbers["registrations"], numbers["repeated_posts"]) == (1, 1, 2)

    def test_a_changed_text_is_applied_and_counted(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        row = only_row(fs, case)
        for text in ("Første.", "Andre."):
            assert fs.register(registration(case["examId"], row, text)).status_code == 200
        assert only_row(fs, case)["begrunnelse"]["tekst"] == "Andre."
        assert simulators.control.summary()["registrations"] == 2

    def test_a_case_finished_by_hand_takes_no_other_text(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        row = only_row(fs, case)
        simulators.control.withdraw(case["caseId"], text="Gitt muntlig.")
        assert fs.register(registration(case["examId"], row, "En annen tekst.")).status_code == 409
        assert fs.register(registration(case["examId"], row, "Gitt muntlig.")).status_code == 200
        assert simulators.control.summary()["registrations"] == 0

    def test_a_removed_row_is_gone(self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]) -> None:
        row = only_row(fs, case)
        simulators.control.withdraw(case["caseId"], how="removed")
        assert fs.rows(case["examId"]) == []
        assert fs.register(registration(case["examId"], row, "Tekst.")).status_code == 404

    def test_a_row_that_was_finished_by_hand_has_its_text(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        simulators.control.withdraw(case["caseId"], text="Gitt muntlig.")
        assert only_row(fs, case)["begrunnelse"]["tekst"] == "Gitt muntlig."

    @pytest.mark.parametrize("before", ["registered", "finished", "removed"])
    def test_a_row_that_was_opened_again_is_open_and_new(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any], before: str
    ) -> None:
        row = only_row(fs, case)
        body = registration(case["examId"], row, "Tekst.")
        if before == "registered":
            fs.register(body)
        else:
            simulators.control.withdraw(case["caseId"], how=before, text="Gitt muntlig.")
        simulators.control.withdraw(case["caseId"], how="reopened")
        assert only_row(fs, case) == row
        assert simulators.control.summary()["registered"] == 0
        assert fs.register(body).status_code == 200
        assert only_row(fs, case)["begrunnelse"]["tekst"] == "Tekst."

    @pytest.mark.parametrize("text", ["", "  \n\t", None, 7])
    def test_an_empty_text_is_refused(self, fs: FsCaller, case: dict[str, Any], text: Any) -> None:
        assert fs.register(registration(case["examId"], only_row(fs, case), text)).status_code == 400

    @pytest.mark.parametrize(
        ("name", "value", "status"),
        [
            ("examId", None, 400),
            ("examId", "bm8", 404),
            ("personlopenr", None, 400),
            ("personlopenr", "481223", 400),
            ("personlopenr", 1, 404),
            ("kandidatnr", None, 400),
            ("kommisjonsId", 1, 400),
            ("datoVedtakFormidlet", None, 400),
            ("datoVedtakFormidlet", "15.01.2026", 400),
            ("begrunnelse", None, 400),
            ("begrunnelse", {"tekst": "T", "format": "application/pdf"}, 400),
        ],
    )
    def test_a_wrong_body_is_refused(
        self, fs: FsCaller, case: dict[str, Any], name: str, value: Any, status: int
    ) -> None:
        body = registration(case["examId"], only_row(fs, case), "Tekst.") | {name: value}
        assert fs.register(body).status_code == status


class TestBadRows:
    def test_a_field_can_be_missing_or_strange(self, simulators: RunningSimulators, fs: FsCaller) -> None:
        org_id = fs.institution["orgId"]
        missing = simulators.control.add_request(org_id, omit=["personlopenr"])
        strange = simulators.control.add_request(org_id, raw={"kandidatnr": "A-17"}, expected="invalid_row")
        assert "personlopenr" not in only_row(fs, missing)
        assert only_row(fs, strange)["kandidatnr"] == "A-17"
        assert missing["expected"] == strange["expected"] == "invalid_row"

    def test_a_good_row_can_become_malformed_and_good_again(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        row = only_row(fs, case)
        simulators.control.change(case["caseId"], raw={"frist": "når det passer"}, omit=["kandidatnr"])
        malformed = only_row(fs, case)
        assert (malformed["frist"], "kandidatnr" in malformed) == ("når det passer", False)
        simulators.control.change(case["caseId"], raw={}, omit=[])
        assert only_row(fs, case) == row

    def test_a_user_name_changes_in_fs_alone(
        self, simulators: RunningSimulators, fs: FsCaller, case: dict[str, Any]
    ) -> None:
        row = only_row(fs, case)
        simulators.control.change(case["caseId"], brukernavn="ola.n")
        assert only_row(fs, case) == row | {"brukernavn": "ola.n"}

    @pytest.mark.parametrize("order", [{"colour": "red"}, {"swapWith": 0}])
    def test_a_change_that_makes_no_sense_is_refused(
        self, simulators: RunningSimulators, case: dict[str, Any], order: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="no "):
            simulators.control.change(case["caseId"], **order)
