"""The capability's parts for Dagster."""

from orchestration.capability import DagsterParts, Synchronised
from tests.loans.loan_asset import book_loans


def parts() -> DagsterParts:
    return DagsterParts(assets=(book_loans,), synchronised=(Synchronised(book_loans),))
