"""What the operators' commands need from the cases of each capability. `CaseStore` implements it, one for each capability."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from casebridge.bounded import BoundedRows
from casebridge.cases.case import Case
from casebridge.database import Document
from casebridge.served_environment import ServedEnvironment


class OperatorCases(Protocol):
    """The cases of one capability. `CaseStore` documents each method. Keys of another capability's cases are ignored."""

    # Find

    def by_correlation_id(self, correlation_id: str) -> Case | None: ...

    def knows_case(self, correlation_id: str) -> bool: ...

    def knows_institution(self, institution: str) -> bool: ...

    def counts(self) -> Iterable[Mapping[str, Any]]: ...

    # Dead letters: changes of a case when its messages are discarded, or set aside again

    def discard(self, keys: Iterable[str], *, by: str, reason: str) -> None: ...

    def bring_back(self, keys: Iterable[str], code: str) -> None: ...

    # Completeness

    def count(self) -> int: ...

    def needing_message(self, opened_before: datetime) -> Iterator[list[str]]: ...

    def still_needing_message(self, keys: Iterable[str]) -> dict[str, str]: ...

    # Deadlines

    def count_due_by(self, moment: datetime) -> int: ...

    def due_by(self, moment: datetime, limit: int) -> BoundedRows[Document]: ...

    # Retention, and `casebridge prepare`

    def keeping(self, correlation_ids: Iterable[str], served: ServedEnvironment) -> set[str]: ...

    def respell_names(self) -> int: ...

    def ensure_indexes(self) -> None: ...
