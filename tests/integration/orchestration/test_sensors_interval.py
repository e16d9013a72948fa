"""One environment variable says how often the sensors poll."""

import pytest

from orchestration.build import build_defs
from sensors.interval import DEFAULT_SECONDS, VARIABLE, poll_seconds


def test_without_the_variable_it_is_thirty_seconds() -> None:
    assert poll_seconds({}) == poll_seconds({VARIABLE: ""}) == DEFAULT_SECONDS == 30


@pytest.mark.parametrize("wrong", ["0", "-5", "5.5", "often"])
def test_a_too_short_interval_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=VARIABLE):
        poll_seconds({VARIABLE: wrong})


def test_the_polling_sensors_take_it_when_the_definitions_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "5")
    defs = build_defs()

    for name in ("fs_requests_sensor", "wiseflow_answers_sensor"):
        assert defs.resolve_sensor_def(name).minimum_interval_seconds == 5
    assert defs.resolve_sensor_def("backlog_sensor").minimum_interval_seconds == 60
