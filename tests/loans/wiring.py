"""Builds the capability from the platform."""

from collections.abc import Sequence

from casebridge.capability import Capability, CaseKind, DailyCount, IndexedCollection, OperatorTable, Queue
from casebridge.sources.source import Source
from resources.wiring.platform import Platform
from tests.loans.loan import INDEXES, OVERDUE, REMINDED, Loans
from tests.loans.loan_flow import RECEIPT, LoanFlow, receipt_announcer
from tests.loans.loan_source import LoanSource
from tests.loans.receipt_channel import ReceiptChannel


def build(platform: Platform) -> Capability:
    stores, database = platform.stores, platform.stores.database
    library, cases = database.collection("libraryLoans"), database.collection("libraryCases")
    reminders, receipts = database.collection("libraryReminders"), database.collection("libraryReceipts")
    loans = Loans(cases, stores.clock)
    flow = LoanFlow(loans, library, reminders)
    source = LoanSource(library, loans, stores.queue, platform.polling)

    def shelves() -> Sequence[tuple[object, ...]]:
        found = cases.aggregate([{"$group": {"_id": "$shelf", "loans": {"$sum": 1}}}, {"$sort": {"_id": 1}}])
        return [(row["_id"], row["loans"]) for row in found]

    return Capability(
        name="loans",
        queues=(Queue(flow, "book_loans"),),
        sources=(Source("loans", "the library", source.poll, (flow.queue,), "reminded"),),
        announcers=(receipt_announcer(),),
        channels={RECEIPT: ReceiptChannel(receipts)},
        case_kinds=(CaseKind(loans, {OVERDUE: "overdue", REMINDED: "reminded"}, frozenset({OVERDUE})),),
        daily_counts=(DailyCount("remind", "today_reminded"),),
        tables=(OperatorTable("shelves", "Shelves", ("shelf", "loans"), shelves),),
        collections=(IndexedCollection(cases, INDEXES),),
    )
