"""The fields of an explanation case that are read when several cases are read at once. Other fields are left out."""

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
"""The fields that only explanation cases have."""
FIELDS: Final = dict.fromkeys((*BASE_FIELDS, *OWN_FIELDS), 1)
"""The projection of every query for several cases."""
