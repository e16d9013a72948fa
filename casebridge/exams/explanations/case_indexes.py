"""The indexes of `oai.begrunnelser`. Every query that runs for each message has one."""

from typing import Final

from pymongo import ASCENDING, IndexModel

from casebridge.database import CASE_INDEXES

INDEXES: Final = (
    *CASE_INDEXES,
    IndexModel([("vurdId", ASCENDING), ("kandidatnr", ASCENDING)]),
    IndexModel([("flowId", ASCENDING)], sparse=True),
)
