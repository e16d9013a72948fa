"""The columns of the log overview that only entries about exams have (contract 2.2), each empty until a flow fills it."""

from typing import Any, Final

NO_COLUMNS: Final[dict[str, Any]] = {
    "instance": None,
    "kafkaOffset": None,
    "kandidatnr": None,
    "klagestatus": None,
    "personlopenr": None,
    "testId": None,
    "userCandidateId": None,
    "vurdId": None,
}
PERSONAL_COLUMNS: Final = frozenset({"kandidatnr", "personlopenr", "userCandidateId"})
"""The columns that may say who a student is."""
