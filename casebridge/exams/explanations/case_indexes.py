"""The indexes of `oai.begrunnelser`: every query that runs per message has one."""

from typing import Final

from pymongo import ASCENDING, IndexModel

INDEXES: Final = (
    IndexModel([("correlationId", ASCENDING)], unique=True),
    IndexModel([("institution", ASCENDING), ("state", ASCENDING), ("deadline", ASCENDING)]),
    IndexModel([("vurdId", ASCENDING), ("kandidatnr", ASCENDING)]),
    IndexModel([("flowId", ASCENDING)], sparse=True),
)
