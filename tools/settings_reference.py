"""`make settings`: generates docs/settings.md from the settings model, so that the page always agrees with the code.

A test compares the committed page with the output of this module.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from casebridge.settings import Settings

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

INTRODUCTION: Final = """\
# Settings

Generated from `casebridge/settings.py` by `make settings`; do not edit.

Every setting is an environment variable, read once when a process starts. What differs between institutions is not here
but in their documents ([adding an institution](adding-an-institution.md)); their credentials are in variables of their own,
which those documents name.
"""
FURTHER: Final = """\
## Outside the model

Read where they are needed, before or without the settings.

| Variable | Read by | Meaning |
|---|---|---|
| `CASEBRIDGE_POSTGRES_URL` | Dagster's processes | Dagster's own storage; not set: SQLite below `DAGSTER_HOME`. |
| `CASEBRIDGE_SENSOR_SECONDS` | Dagster's code server | One interval for all sensors, in seconds, in place of each one's own. |
| `CASEBRIDGE_RUN_LAUNCHER` | Dagster's processes | `local` (default): a run is a process of the code server; `celery`: \
a Celery task. |
| `CASEBRIDGE_CELERY_BROKER`, `CASEBRIDGE_CELERY_BACKEND` | Dagster's processes, Celery workers | Addresses of broker \
(Redis or RabbitMQ) and result back end (Redis or a database), where runs are Celery tasks. |
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` | calls over HTTP | The proxy to the outside, and the hosts that are reached without. |
| `REQUESTS_CA_BUNDLE` | calls over HTTP | The file of trusted authorities where `CASEBRIDGE_HTTP__CA_FILE` is not set. |
| `CASEBRIDGE_MONGODB_URI` | tests | A server to test against, not only the embedded one; databases `test_…` come and go. |
| `CASEBRIDGE_TEST_DATA` | contract tests | The folder of the vendor's OpenAPI file, where it is not beside the repository. |
| `CASEBRIDGE_WRITE_IMAGES` | tests | `1` takes the pictures of `docs/images` again. |
| `CASEBRIDGE_CRASH_POINT`, `CASEBRIDGE_CRASH_KIND`, `CASEBRIDGE_CRASH_AFTER` | crash tests | Where, how and at which pass \
a process dies (`casebridge/crash_points.py`). Never set them elsewhere. |
"""

HEADINGS: Final = {"Http": "HTTP", "Fs": "FS", "Wiseflow": "WISEflow", "Laas": "LaaS"}


def reference() -> str:
    """The whole page, as Markdown."""
    prefix = Settings.model_config["env_prefix"]
    sections = [_section("The installation", "What concerns it as a whole.", _variables(prefix, Settings))]
    for name, field in Settings.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            title = model.__name__.removesuffix("Settings")
            sections.append(
                _section(HEADINGS.get(title, title), model.__doc__, _variables(f"{prefix}{name.upper()}__", model))
            )
    return "\n".join([INTRODUCTION, *sections, FURTHER])


def _section(title: str, purpose: str | None, rows: Iterator[str]) -> str:
    table = "\n".join(["| Variable | Type | Default | Meaning |", "|---|---|---|---|", *rows])
    return f"## {title}\n\n{(purpose or '').strip()}\n\n{table}\n"


def _variables(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """One row for each field that is not a section itself."""
    for name, field in model.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            cells = (f"`{prefix}{name.upper()}`", _type(field), _default(field), field.description or "")
            yield f"| {' | '.join(cells)} |"


def _type(field: FieldInfo) -> str:
    """The type of the value, with its bounds, in words for operators."""
    bounds = [
        f"{sign} {getattr(constraint, name)}"
        for constraint in field.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if hasattr(constraint, name)
    ]
    return ", ".join([_name_of(field.annotation), *bounds])


def _name_of(annotation: Any) -> str:
    arguments = [argument for argument in get_args(annotation) if argument is not NoneType]
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_name_of, arguments))
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if get_origin(annotation) is dict:
        return "JSON object"
    if get_origin(annotation) is tuple:
        return "names, with commas"
    return {str: "text", SecretStr: "text, secret", int: "whole number", float: "number", bool: "`true` or `false`"}[
        annotation
    ]


def _default(field: FieldInfo) -> str:
    """The default, in the form that the variable has."""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None:
        return "not set"
    if value == ():
        return "all"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return f"`{json.dumps(value)}`"
    return f"`{value}`"


def main() -> None:
    PAGE.write_text(reference(), encoding="utf-8")
    sys.stderr.write(f"written: docs/{PAGE.name}\n")


if __name__ == "__main__":
    main()
