"""Numbers with bounds for the configuration of a job. A number out of bounds is refused at launch, with what to do.

Dagster checks a bound of pydantic, such as `gt=0`, only after the run has begun. Then the operator waits for a process to start,
and finds the reason below the error. Dagster checks its own types before there is a run.
"""

import math
from typing import TYPE_CHECKING, Any, Final

from dagster._config import Noneable, PostProcessingError
from dagster._config.config_type import ConfigScalar, ConfigScalarKind
from pydantic_core import CoreSchema, core_schema

from casebridge.bounded import LONGEST_REACH_BACK_DAYS, LONGEST_WAIT_SECONDS

MOST: Final = 2**31 - 1
"""The largest whole number that Dagster's interface can represent."""


class _AtLeastOne(ConfigScalar):
    """A whole number of at least 1. Dagster knows it as the type of a field, pydantic as the type of an attribute."""

    def __init__(self) -> None:
        super().__init__(
            key="AtLeastOne",
            given_name="AtLeastOne",
            scalar_kind=ConfigScalarKind.INT,
            description="A whole number of at least 1.",
        )

    def post_process(self, value: Any) -> Any:
        if not isinstance(value, int) or value < 1:
            raise PostProcessingError(f"must be at least 1, not {value}: leave it out for the usual number")
        if value > MOST:
            raise PostProcessingError(f"must be at most {MOST}: leave it out for the usual number")
        return value

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.int_schema(ge=1, le=MOST)


class _UpTo(ConfigScalar):
    """A number from 0 to `most`. A whole number becomes a float."""

    def __init__(self, name: str, unit: str, most: float) -> None:
        super().__init__(
            key=name,
            given_name=name,
            scalar_kind=ConfigScalarKind.FLOAT,
            description=f"A number of {unit} from 0 to {most:.0f}.",
        )
        self._unit = unit
        self._most = most

    def post_process(self, value: Any) -> Any:
        if type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value <= self._most):
            raise PostProcessingError(
                f"must be a number of {self._unit} from 0 to {self._most:.0f}: leave it out for the usual one"
            )
        return float(value)

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.float_schema(ge=0, le=self._most, allow_inf_nan=False)


class _OrNone(Noneable):
    """One of these numbers, or None."""

    def __init__(self, number: _AtLeastOne | _UpTo) -> None:
        super().__init__(number)
        self._number = number

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.nullable_schema(self._number.__get_pydantic_core_schema__(source, handler))


if TYPE_CHECKING:
    AtLeastOne = int
    AtLeastOneOrNone = int | None
    Seconds = float
    HoursOrNone = float | None
else:
    AtLeastOne = _AtLeastOne()
    AtLeastOneOrNone = _OrNone(AtLeastOne)
    Seconds = _UpTo("Seconds", "seconds", LONGEST_WAIT_SECONDS)
    HoursOrNone = _OrNone(_UpTo("Hours", "hours", LONGEST_REACH_BACK_DAYS * 24))
