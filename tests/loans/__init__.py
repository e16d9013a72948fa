"""Book loans: a small capability that exists in the tests alone, and shows what it takes to add one.

Nothing outside this folder knows of it. `CASEBRIDGE_CAPABILITIES=explanations,tests.loans` is all that turns it on.

- A *loan* is a case: a book that a library lends, and that is overdue.
- The source finds overdue loans in the collection `libraryLoans`, which stands for the library's system.
- The flow looks the loan up and then writes a reminder into `libraryReminders`, once for each loan.
- A receipt of each reminder is a pending effect. Its channel delivers it into `libraryReceipts`.

The folder has a module for each layer:

- of the engine: `loan`, `loan_flow`, `loan_source`;
- of the outside: `receipt_channel`;
- `wiring` builds the capability;
- of Dagster: `loan_asset`, `orchestration`.
"""
