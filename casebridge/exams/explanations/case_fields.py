"""The fields of a case that are read back: what else stands in a document, from whatever release or hand, is not brought over."""

from typing import Final

NAMES: Final = (
    "correlationId",
    "orgId",
    "env",
    "institution",
    "examSystem",
    "type",
    "vurdId",
    "personlopenr",
    "kandidatnr",
    "kommisjonsId",
)
PLACE: Final = ("flowId", "participantId", "submissionId", "explanationRequestId")
TIMES: Final = (
    "openedAt", "reopenedAt", "dispatchedAt", "registeredAt", "shownAt", "withdrawnAt", "deadline", "deadlineToldAt",
    "rowGoneToldAt", "openAgainAt", "answerLeftAt", "inactiveToldAt",
)  # fmt: skip
STANDING: Final = (
    "state", "setAside", "version", "versions", "revision", "registeredHash", "registeredBy", "registeredVersion", "answerSeenAt",
    "answerGivenAt", "discardedAt", "discardedBy", "discardReason", "registeredFor", "identityTold",
)  # fmt: skip
FIELDS: Final = dict.fromkeys((*NAMES, *PLACE, *TIMES, *STANDING), 1)
"""The driver's projection for every read of several cases."""
