"""The fields of an explanation that are read where several cases are: nothing else in a document is brought over."""

from typing import Final

from casebridge.cases.case import BASE_FIELDS

NAMES: Final = ("examSystem", "type", "vurdId", "personlopenr", "kandidatnr", "kommisjonsId")
PLACE: Final = ("flowId", "participantId", "submissionId", "explanationRequestId")
TIMES: Final = (
    "reopenedAt", "dispatchedAt", "registeredAt", "shownAt", "withdrawnAt", "deadlineToldAt", "rowGoneToldAt", "openAgainAt",
    "answerLeftAt", "inactiveToldAt",
)  # fmt: skip
STANDING: Final = (
    "version", "versions", "revision", "registeredHash", "registeredBy", "registeredVersion", "answerSeenAt", "answerGivenAt",
    "registeredFor", "identityTold",
)  # fmt: skip
OWN_FIELDS: Final = (*NAMES, *PLACE, *TIMES, *STANDING)
"""Beside those of every kind of case."""
FIELDS: Final = dict.fromkeys((*BASE_FIELDS, *OWN_FIELDS), 1)
"""The driver's projection for every read of several cases."""
