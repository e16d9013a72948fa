"""Makes all indexes that casebridge needs, in a database that a test has opened by itself."""

from casebridge.database import Database
from casebridge.exams.explanations.case_indexes import INDEXES


def ensure_all_indexes(database: Database) -> None:
    """As `casebridge prepare` makes them."""
    database.ensure_indexes([(database.cases, INDEXES)])
