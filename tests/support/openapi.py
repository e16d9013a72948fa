"""Checks requests and answers against a vendor's OpenAPI description, for simulators and real clients alike.

This module reads a description, finds the operation and checks one request or one answer. What a system must do beyond its
description belongs in that system's tests.

- The check is stricter than the description in one way: a property without a description is an error. Nearly every property
  of WISEflow's description is optional, so a misspelled name would pass otherwise.
- It is more lenient where the description contradicts itself. ``_REPAIRS`` lists each such place with the reason.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
import yaml
from jsonschema import FormatChecker  # type: ignore[import-untyped]  # it has no types
from openapi_schema_validator import OAS30Validator

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"
GATEWAY_STATUSES = frozenset({401, 415, 429, 500, 502, 503, 504})
"""Every operation can answer with these statuses, though the description does not list them."""
DESCRIPTION = "wiseflow-openapi-1.34.0.yaml"

_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_FORMATS = FormatChecker(formats=())


def _is_moment(value: object) -> bool:
    """ISO 8601 with a zone. The other formats of the description only repeat the type."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


for _name in ("datetime", "date-time"):
    _FORMATS.checks(_name, raises=ValueError)(_is_moment)


def _null_by_example(spec: dict[str, Any]) -> None:
    """A property whose example is null is nullable, even if the description does not say so."""

    def visit(node: object) -> None:
        if isinstance(node, dict):
            if "type" in node and "example" in node and node["example"] is None:
                node["nullable"] = True
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(spec["components"]["schemas"])


def _visibility_answer_is_array_or_object(spec: dict[str, Any]) -> None:
    """``data`` of the answer to PATCH is an array in the schema and an object in the schema's example."""
    properties = spec["components"]["schemas"]["update-participant-explanation-response"]["properties"]
    properties["data"] = {"anyOf": [properties["data"], properties["data"]["items"]]}


def _flow_search_answers_list_or_object(spec: dict[str, Any]) -> None:
    """The deprecated flow search "returns a list of flows" according to its text, and one object in its schema."""
    answer = spec["paths"]["/license/sis/flows/{sisCode}"]["get"]["responses"]["200"]["content"][JSON_TYPE]
    answer["schema"] = {"anyOf": [answer["schema"], {"type": "array", "items": answer["schema"]}]}


_REPAIRS: tuple[Callable[[dict[str, Any]], None], ...] = (
    _null_by_example,
    _visibility_answer_is_array_or_object,
    _flow_search_answers_list_or_object,
)


@dataclass(frozen=True)
class _Operation:
    name: str
    definition: dict[str, Any]
    path_values: dict[str, str]


class OpenApiContract:
    """A vendor's description. Requests and answers are checked against it.

    :param path: the description, YAML or JSON, OpenAPI 3.0
    """

    def __init__(self, path: Path) -> None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        spec = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both loaders are safe ones
        self._spec: dict[str, Any] = copy.deepcopy(spec)
        for repair in _REPAIRS:
            repair(self._spec)
        templates = sorted(self._spec["paths"], key=lambda template: template.count("{"))
        self._paths = [(_template_pattern(template), template) for template in templates]
        self._bases = tuple(
            match[1] for server in self._spec["servers"] if (match := re.search(r"//[^/{]+(/[^{]+)$", server["url"]))
        )

    def describes(self, method: str, url_path: str) -> bool:
        """Whether the description has the operation at all."""
        return self._find(method, url_path) is not None

    def check_request(
        self,
        method: str,
        url_path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | str | None,
    ) -> None:
        """Check a request against the description.

        :param url_path: the path as on the wire, percent-encoded, with or without the server's base
        :raises AssertionError: with every difference found
        """
        operation = self._operation(method, url_path)
        problems = [
            *self._parameter_problems(operation, query),
            *self._security_problems(operation, headers),
            *self._request_body_problems(operation, headers, body),
        ]
        _raise(f"request {operation.name}", problems)

    def check_response(
        self,
        method: str,
        url_path: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes | str | None,
        *,
        undeclared: Collection[str] = (),
    ) -> None:
        """Check an answer against the description.

        :param undeclared: properties that are allowed anywhere in the answer though the description does not name them
        :raises AssertionError: with every difference found
        """
        operation = self._operation(method, url_path)
        declared = operation.definition["responses"].get(str(status))
        if declared is None and status in GATEWAY_STATUSES:
            return
        name = f"answer {status} to {operation.name}"
        if declared is None:
            _raise(name, [f"the description has only {sorted(operation.definition['responses'])}"])
            return
        _raise(name, list(self._content_problems(declared.get("content", {}), headers, body, undeclared)))

    def _find(self, method: str, url_path: str) -> _Operation | None:
        path = url_path.partition("?")[0]
        for base in self._bases:
            if path.startswith(f"{base}/"):
                path = path.removeprefix(base)
                break
        for pattern, template in self._paths:
            match = pattern.fullmatch(path)
            definition = self._spec["paths"][template].get(method.lower())
            if match and definition:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return _Operation(f"{method.upper()} {template}", definition, values)
        return None

    def _operation(self, method: str, url_path: str) -> _Operation:
        operation = self._find(method, url_path)
        if operation is None:
            raise AssertionError(f"the description has no {method.upper()} {url_path}")
        return operation

    def _parameter_problems(self, operation: _Operation, query: Mapping[str, str]) -> Iterator[str]:
        parameters = operation.definition.get("parameters", [])
        known = {one["name"]: one for one in parameters if one["in"] == "query"}
        for name in query:
            if name not in known:
                yield f"query parameter {name} is not in the description"
        for one in parameters:
            values = operation.path_values if one["in"] == "path" else query
            if one["in"] not in {"path", "query"}:
                continue
            if one["name"] in values:
                yield from _scalar_problems(one, values[one["name"]])
            elif one.get("required"):
                yield f"{one['in']} parameter {one['name']} is missing"

    def _security_problems(self, operation: _Operation, headers: Mapping[str, str]) -> Iterator[str]:
        if operation.definition.get("security", self._spec.get("security")) == []:
            return
        has_token = (_header(headers, "authorization") or "").lower().startswith("bearer ")
        if not has_token and not _header(headers, "x-api-key"):
            yield "neither a bearer token nor an x-api-key"

    def _request_body_problems(
        self, operation: _Operation, headers: Mapping[str, str], body: bytes | str | None
    ) -> Iterator[str]:
        declared = operation.definition.get("requestBody")
        if declared is None:
            if body:
                yield "a body where the description has none"
            return
        if body or declared.get("required"):
            yield from self._content_problems(declared["content"], headers, body, ())

    def _content_problems(
        self,
        content: dict[str, Any],
        headers: Mapping[str, str],
        body: bytes | str | None,
        undeclared: Collection[str],
    ) -> Iterator[str]:
        if not content:
            if body:
                yield "a body where the description has none"
            return
        media_type = (_header(headers, "content-type") or "").partition(";")[0].strip()
        if media_type not in content:
            yield f"content type {media_type!r}, and the description has {sorted(content)}"
            return
        try:
            value = _decode(media_type, body)
        except ValueError as error:
            yield f"the body cannot be read: {error}"
            return
        schema = content[media_type].get("schema", {})
        yield from self._schema_problems(schema, value)
        yield from self._undeclared_problems(schema, value, "$", frozenset(undeclared))

    def _schema_problems(self, schema: dict[str, Any], value: object) -> Iterator[str]:
        whole = {"allOf": [schema], "components": self._spec["components"]}
        for error in OAS30Validator(whole, format_checker=_FORMATS).iter_errors(value):
            yield f"{error.json_path}: {error.message}"

    def _undeclared_problems(
        self, schema: dict[str, Any], value: object, where: str, undeclared: frozenset[str]
    ) -> list[str]:
        """Properties that no schema names, in a value of any depth."""
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return min((self._undeclared_problems(one, value, where, undeclared) for one in schema["anyOf"]), key=len)
        if isinstance(value, list):
            items = schema.get("items")
            if items is None:
                return [] if not value else [f"{where}: a list where the description has none"]
            return [
                problem
                for place, item in enumerate(value)
                for problem in self._undeclared_problems(items, item, f"{where}[{place}]", undeclared)
            ]
        properties = schema.get("properties")
        if not isinstance(value, dict) or properties is None:
            return []
        problems = [f"{where}: {name} is not in the description" for name in set(value) - set(properties) - undeclared]
        for name in set(value) & set(properties):
            problems += self._undeclared_problems(properties[name], value[name], f"{where}.{name}", undeclared)
        return problems

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with its references followed and its parts joined."""
        if "$ref" in schema:
            target: Any = self._spec
            for step in schema["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            return self._resolved(target)
        if "allOf" not in schema:
            return schema
        properties = dict(schema.get("properties", {}))
        for part in schema["allOf"]:
            properties |= self._resolved(part).get("properties", {})
        return {**schema, "properties": properties}


def _template_pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    pattern = "".join(f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
    return re.compile(pattern)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _scalar_problems(parameter: dict[str, Any], value: str) -> Iterator[str]:
    if parameter["schema"].get("type") == "integer" and not re.fullmatch(r"-?\d+", value):
        yield f"{parameter['in']} parameter {parameter['name']} is no integer: {value!r}"


def _decode(media_type: str, body: bytes | str | None) -> object:
    text = body.decode() if isinstance(body, bytes) else body or ""
    if media_type == FORM_TYPE:
        return {name: values[-1] for name, values in parse_qs(text).items()}
    return json.loads(text)


def _raise(what: str, problems: list[str]) -> None:
    if problems:
        raise AssertionError(f"{what} differs from the description:\n  " + "\n  ".join(problems))


@cache
def wiseflow_contract() -> OpenApiContract:
    """WISEflow's description. Without its file the test is skipped; with ``CI=true`` it fails.

    The description is the vendor's document and is never copied into the project.
    """
    folder = Path(os.environ.get("CASEBRIDGE_TEST_DATA", _PROJECT_ROOT.parent / "shared" / "data"))
    path = folder / DESCRIPTION
    if not path.is_file():
        reason = f"{DESCRIPTION} is not there; set CASEBRIDGE_TEST_DATA to the folder that has it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return OpenApiContract(path)
