"""Every number that an operator may give to a job or a command has bounds. A number outside is refused before anything runs."""

import math
import typing
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
import pytest
from dagster._config.config_type import ConfigType
from dagster._config.pythonic_config import infer_schema_from_config_class
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from command_line.main import application
from orchestration.build import build_defs
from resources.config_numbers import AtLeastOne, AtLeastOneOrNone, HoursOrNone, Seconds
from tests.support.commands import all_commands

OURS: Final = ("assets", "orchestration", "sensors", "resources")
BOUNDED: Final = (AtLeastOne, AtLeastOneOrNone, HoursOrNone, Seconds)
BEYOND: Final = (-1, -(10**30), 10**30, 1e300, -1e300, math.nan, math.inf, -math.inf, True, "1", [1])
LIMIT_MESSAGE: Final = "must be at least 1, not 0: leave it out"


def config_classes() -> list[type[dg.Config]]:
    build_defs()  # this imports all of them
    found, left = [], [dg.Config]
    while left:
        for each in left.pop().__subclasses__():
            left.append(each)
            if each.__module__.partition(".")[0] in OURS:
                found.append(each)
    return found


def fields(classes: list[type[dg.Config]]) -> Iterator[tuple[type[dg.Config], str, FieldInfo]]:
    for each in classes:
        for name, field in each.model_fields.items():
            yield each, name, field


def is_plain_number(annotation: object) -> bool:
    parts = typing.get_args(annotation) or (annotation,)
    return bool({int, float} & set(parts))


def bounded_fields() -> list[tuple[type[dg.Config], str]]:
    return [(each, name) for each, name, field in fields(config_classes()) if field.annotation in BOUNDED]


def type_of(config: type[dg.Config]) -> ConfigType:
    return infer_schema_from_config_class(config).config_type


def problem(config: type[dg.Config], **values: Any) -> str:
    """Dagster's error for the configuration before there is a run; empty if there is none."""

    @dg.op(config_schema=type_of(config))
    def reads(_context: dg.OpExecutionContext) -> None:
        """This is never executed."""

    @dg.job
    def launched() -> None:
        reads()

    try:
        dg.validate_run_config(launched, {"ops": {"reads": {"config": values}}})
    except dg.DagsterInvalidConfigError as error:
        return str(error)
    return ""


def test_no_class_has_a_number_without_bounds() -> None:
    plain = [
        f"{each.__name__}.{name}" for each, name, field in fields(config_classes()) if is_plain_number(field.annotation)
    ]

    assert plain == []
    names = {f"{each.__name__}.{name}" for each, name in bounded_fields()}
    assert names >= {
        "SyncConfig.limit",
        "ProcessResource.workers",
        "ReadConfig.reach_back_hours",
        "DispatchConfig.wait_seconds",
        "BatchConfig.limit",
    }


@pytest.mark.parametrize(("config", "name"), bounded_fields(), ids=lambda one: getattr(one, "__name__", one))
def test_a_number_beyond_its_bounds_is_refused_at_launch_and_by_the_class(config: type[dg.Config], name: str) -> None:
    required = {field: "x" for _, field, info in fields([config]) if info.is_required()}
    for value in BEYOND:
        assert problem(config, **required, **{name: value}), repr(value)
    for value in (-1, 10**30, 1e300, math.nan):
        with pytest.raises(Exception, match=f"(?s){name}"):
            config(**required, **{name: value})
    assert not problem(config, **required, **{name: 1})
    assert not problem(config, **required)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": 0}, LIMIT_MESSAGE),
        ({"limit": -1}, "must be at least 1, not -1"),
        ({"reach_back_hours": -24}, "must be a number of hours from 0 to 876000: leave it out"),
        ({"reach_back_hours": 1e9}, "must be a number of hours from 0 to 876000"),
        ({"reach_back_hours": 1e300}, "must be a number of hours from 0 to 876000"),
        ({"wait_seconds": 1e300}, "must be a number of seconds from 0 to 86400"),
        ({"wait_seconds": -1}, "must be a number of seconds from 0 to 86400"),
        ({"wait_seconds": math.nan}, "must be a number of seconds from 0 to 86400"),
    ],
    ids=str,
)
def test_sync_now_says_what_to_give_instead(values: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=message):
        dg.validate_run_config(build_defs().resolve_job_def("sync_now"), values)


@pytest.mark.parametrize(
    "values",
    [{}, {"limit": None, "reach_back_hours": None}, {"limit": 1, "reach_back_hours": 0, "wait_seconds": 0},
     {"limit": 2**31 - 1, "reach_back_hours": 876_000.0, "wait_seconds": 86_400}],
    ids=str,
)  # fmt: skip
def test_sync_now_accepts_numbers_within_the_bounds(values: dict[str, Any]) -> None:
    assert dg.validate_run_config(build_defs().resolve_job_def("sync_now"), values)


def numbers_of_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    left: list[tuple[tuple[str, ...], Any]] = [((name,), command) for name, command in all_commands().items()]
    while left:
        path, command = left.pop()
        left += [((*path, name), each) for name, each in getattr(command, "commands", {}).items()]
        found += [(*path, one.opts[0]) for one in command.params if one.type_descriptor.annotation in (int, float)]
    return found


def test_the_numbers_of_commands_are_found() -> None:
    assert {("sync", "--wait"), ("sync", "--reach-back-days"), ("listen", "--workers"), ("simulate", "--seed")} <= set(
        numbers_of_commands()
    )


@pytest.mark.parametrize("path", numbers_of_commands(), ids=" ".join)
def test_a_number_beyond_its_bounds_is_refused_by_the_command(path: tuple[str, ...]) -> None:
    for value in ("-1", str(-(10**30)), str(10**30), "nan", "inf", "-inf", "1e300", "x"):
        done = CliRunner().invoke(application, [*path, value])

        assert done.exit_code == 2, f"{value}: {done.output}"
