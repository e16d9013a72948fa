"""Book loans: a small capability for tests only. It is an example of how to add one.

Nothing outside this folder names it. The setting `CASEBRIDGE_CAPABILITIES=explanations,tests.loans` turns it on.

- A *loan* is a case: a library has lent a book, and the book is overdue.
- The source finds overdue loans in the collection `libraryLoans`, which plays the part of the library's system.
- The flow reads the loan and then writes a reminder into `libraryReminders`, once for each loan.
- A receipt of each reminder is a pending effect. Its channel delivers it into `libraryReceipts`.

The folder has these modules:

- engine: `loan`, `loan_flow`, `loan_source`;
- outside systems: `receipt_channel`;
- building the capability: `wiring`;
- Dagster: `loan_asset`, `orchestration`.
"""
