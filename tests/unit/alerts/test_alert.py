"""An alert keeps its fields while it is a pending effect of a message, and its text names what it is about."""

from dataclasses import fields, replace

import pytest

from casebridge.alerts.alert import Alert
from casebridge.alerts.channel import alert_text

ALERT = Alert(
    institution="uis.no/prod",
    org_id="uis.no",
    submodule="wiseflow-begrunnelse",
    step="find_exam",
    code="wiseflow.flow_missing",
    cause="No flow in WISEflow carries the exam's source code.",
    next_action="Connect the flow with the exam.",
    correlation_id="0198c0ffee",
    exam_system="WISEFLOW",
    about="flow 4711",
)


@pytest.mark.parametrize("name", [field.name for field in fields(Alert)])
def test_each_field_survives_in_the_pending_effect(name: str) -> None:
    was = getattr(ALERT, name)
    others = {"cases": {"0198c0ffee": "now 2031-01-15", "0198c0ffef": ""}}
    other = replace(ALERT, **{name: not was if isinstance(was, bool) else others.get(name, "another")})

    for alert in (ALERT, other):
        assert Alert.from_body(alert.body()) == alert
        assert Alert.from_body(alert.body()).fingerprint == alert.fingerprint


def test_the_text_names_institution_exam_system_case_and_what_it_is_about() -> None:
    text = alert_text({**ALERT.body(), "correlationIds": ["0198c0ffee"]})

    for named in ("uis.no/prod", "WISEFLOW", "0198c0ffee", "About: flow 4711", "find_exam", "wiseflow.flow_missing"):
        assert named in text


def test_an_alert_of_an_earlier_version_has_no_such_fields() -> None:
    body = {name: value for name, value in ALERT.body().items() if name not in ("about", "examSystem")}

    assert Alert.from_body(body) == replace(ALERT, about=None, exam_system="unknown")
    assert "About" not in alert_text(body)


def test_an_alert_that_alone_lists_its_cases_names_each_with_its_note() -> None:
    alert = replace(ALERT, cases={"case-1": "now 2031-01-15", "case-2": "", "case-3": "", "case-4": ""})

    text = alert_text(
        {**alert.body(), "correlationIds": list(alert.named), "notes": {"case-1": "now 2031-01-15"}, "furtherCases": 2}
    )

    assert "Cases: case-1 (now 2031-01-15), case-2, case-3, case-4; 2 more come with the next message" in text


@pytest.mark.parametrize("note", [None, 7, "x", [], {"case-1": {"a": 1}}, {"case-1": 7}])
def test_a_malformed_note_does_not_hide_a_case(note: object) -> None:
    text = alert_text({**ALERT.body(), "listsCases": True, "correlationIds": ["case-1", 7, None], "notes": note})

    assert "case-1" in text
