"""The steps of a flow, and their results as typed values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from casebridge.messaging.flow.payload import wanting
from casebridge.messaging.queue.message import Message
from casebridge.messaging.queue.unreadable import unreadable
from casebridge.personal_data import DomainModel


class StepResult(DomainModel):
    """What a step found or did: ids and counts, plus what later steps need. Each step has its own subclass.

    Stored fields have names in camel case. A field that a step does not set is not stored.
    """

    step: ClassVar[str]
    """The name of the step in stored messages and in the audit."""

    model_config = ConfigDict(alias_generator=to_camel)

    def document(self) -> dict[str, Any]:
        """The stored form of the result."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    @classmethod
    def of(cls, message: Message) -> Self:
        """The result of a step that is done.

        Raises `PermanentError` `casebridge.message_unreadable` if it is absent or cannot be read.
        """
        result = cls.found_in(message)
        if result is None:
            raise unreadable([f"steps.{cls.step}"])
        return result

    @classmethod
    def found_in(cls, message: Message) -> Self | None:
        """The result; `None` if the step is not done. Raises the same error as `of` if it cannot be read."""
        done = message.steps.get(cls.step)
        if done is None:
            return None
        try:
            return cls.model_validate(done.result)
        except ValidationError as error:
            raise unreadable(wanting(f"steps.{cls.step}.result", error)) from None


R = TypeVar("R", bound=StepResult)


@dataclass(frozen=True)
class Last:
    """The result of a step that ends the flow. It may be an `Ended` instead of the step's own result."""

    result: StepResult


class Ended(StepResult):
    """The result of a step that had nothing to do. `outcome` says why."""

    outcome: str


@dataclass(frozen=True)
class Step(Generic[R]):
    """One idempotent piece of work. It reads the results of earlier steps from the message: `FoundExam.of(message)`."""

    result: type[R]
    run: Callable[[Message], R | Last]
    read_only: bool = False
    """Whether it changes nothing outside. Then its result is stored together with that of the next step that does, and the step
    is repeated after a crash in between."""

    @property
    def name(self) -> str:
        return self.result.step


Steps = tuple[Step[Any], ...]
