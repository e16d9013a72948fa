"""A whole number of at least one in the configuration of a job, refused at launch.

Dagster reads a bound such as `gt=0` of pydantic only when the run has begun: the operator waits for a process to start, and finds
the reason below the error. A type of Dagster's own is looked at before there is a run.
"""

from typing import TYPE_CHECKING, Any

from dagster._config import PostProcessingError
from dagster._config.config_type import ConfigScalar, ConfigScalarKind
from pydantic_core import CoreSchema, core_schema


class _AtLeastOne(ConfigScalar):
    """Known to Dagster as a type of a field, and to pydantic as one of an attribute."""

    def __init__(self) -> None:
        super().__init__(
            key="AtLeastOne",
            given_name="AtLeastOne",
            scalar_kind=ConfigScalarKind.INT,
            description="A whole number of at least 1.",
        )

    def post_process(self, value: Any) -> Any:
        if value < 1:
            raise PostProcessingError(f"must be at least 1, not {value}: leave it out for the usual number")
        return value

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> CoreSchema:
        return core_schema.int_schema(ge=1)


if TYPE_CHECKING:
    AtLeastOne = int
else:
    AtLeastOne = _AtLeastOne()
