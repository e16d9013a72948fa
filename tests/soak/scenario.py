"""The work: requests appear in FS, answers change, an operator replays dead messages, and faults are injected meanwhile.

The part with faults ends when the work is nearly done, or when its time has passed. Then all faults are undone and the work is
carried to its end. This has no time limit: it ends when nothing is left to do, or when nothing has changed for long.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from pymongo.errors import PyMongoError

from casebridge.errors import ErrorCategory
from casebridge.messaging.queue.message import LONG_AGO, MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from tests.soak.data_faults import DataFaults
from tests.soak.faults import Faults, rules
from tests.soak.foreign_documents import insert_foreign_documents
from tests.soak.installation import Installation
from tests.soak.plan import FaultKind, plan
from tests.soak.reporting import ENDED, Reporting, key_of, key_of_case
from tests.support.explanation_rounds import poll_answers, read_requests

CHECK_EVERY_SECONDS: Final = 0.5
OPERATE_EVERY_SECONDS: Final = 3.0
ALMOST_ALL: Final = 0.97
ENOUGH: Final = 0.5
"""The part of the work that is done with faults, however long that takes."""
BEGINNING_SECONDS: Final = 300.0
"""If no request was sent by then, the part with faults ends, and the counts show it."""
LATER_VERSIONS: Final = 0.06
"""The part of the answers that change after they were given, and of the requests that change after they were made."""
VERSIONS_AT_ONCE: Final = 3
"""Versions in quick succession: one may be found while the one before is being registered."""
WAITING: Final = 300
"""At most so many requests wait for their registration at once, so that later requests meet other faults."""
CODES_OF_CRASHES: Final = frozenset({"casebridge.worker_lost"})
WAITS_FOR_ROW: Final = "fs.row_unreadable_now"
FOREIGN_AT: Final = 0.5
PLAIN_FROM: Final = 0.75
REACH_BACK: Final = timedelta(days=2)
TRIES_AFTER_CORRECTION: Final = 3
"""Replays of a case whose data are right again: the first may come before the corrected row was read."""
STANDSTILL_SECONDS: Final = 90.0
"""Longer than a message may wait: a minute, if its process has used up its share of the rates of a vendor."""


class Scenario:
    """One soak. Afterwards `faults.injected` and `replayed` have what happened."""

    def __init__(self, installation: Installation, seed: int, messages: int, requests: int) -> None:
        self._installation = installation
        self._control = installation.world.control
        self._requests = requests
        self._draws = random.Random(f"{seed}:day")  # noqa: S311 - a seed must repeat it, those of earlier runs too
        self._changed = Counter[str]()
        self._operated_at = 0.0
        without = frozenset[FaultKind]() if installation.server.embedded else frozenset({FaultKind.SERVER_RESTART})
        self.faults = Faults(installation, plan(seed, messages, without))
        self.data = DataFaults(self._control, seed, requests, installation.without_numbers)
        self.foreign: list[str] = []
        self._format = "html"
        self.replayed = Counter[str]()
        self._tried = Counter[str]()
        self.bad_answers: set[tuple[str, str]] = set()

    def run(self, seconds: float) -> None:
        """`seconds` limits the part with faults, from the first request that was sent.

        On a busy machine this part lasts longer, until enough of the work is done to have met all faults.
        """
        self._control.faults(*rules())
        self.data.advance(0.0)
        started, began, done = time.monotonic(), None, 0.0
        while not self._is_over(done):
            now = time.monotonic()
            passed = (now - began) / seconds if began is not None else 0.0
            if (passed >= 1.0 and done >= ENOUGH) or (began is None and now - started > BEGINNING_SECONDS):
                break
            done = self._work(min(1.0, passed))
            if began is None and done:
                began = time.monotonic()
            if began is not None:
                self.faults.advance(max(done, passed))
            time.sleep(CHECK_EVERY_SECONDS)
        self.faults.undo_everything()
        self.bad_answers = {
            (rule["system"], rule["kind"]) for rule in self._control.faults_in_force() if rule["struck"]
        }
        self._control.clear_faults()
        self._finish()

    def _is_over(self, done: float) -> bool:
        return done >= ALMOST_ALL and self.faults.are_over and self.data.are_over

    def _work(self, passed: float) -> float:
        """Do what is due at this point of the work or of its time; return the part of the work that is done."""
        counted = self._control.summary()
        room = WAITING - (counted["requests"] - counted["registered"])
        if counted["held"] and room > 0:
            self._control.release(room)
        done: float = (counted["dispatched"] + counted["registered"]) / (2 * self._requests)
        if time.monotonic() - self._operated_at > OPERATE_EVERY_SECONDS:
            self._operated_at = time.monotonic()
            self._change_cases(done)
            self.data.advance(max(done, passed))
            self._insert_foreign(max(done, passed))
            self._change_the_format(max(done, passed))
            self._replay()
            sys.stderr.write(
                f"  {done:4.0%} registered {counted['registered']} of {self._requests}, "
                f"faults {sum(self.faults.injected.values())}, replayed {sum(self.replayed.values())}\n"
            )
        return done

    def _change_the_format(self, passed: float) -> None:
        """The comments of assessors are HTML for most of the run, and plain text at its end."""
        if passed >= PLAIN_FROM and self._format == "html":
            self._format = self._control.modes(comment_format="plain")["comment_format"]

    def _change_cases(self, done: float) -> None:
        """Make the changes that are due at this point of the work: to answers that were given, and to requests that wait."""
        cases = self._control.cases()
        answered = [case for case in cases if case["answerVersions"] and case["expected"] == "registered"]
        asked = [case for case in cases if case["state"] in ("visible", "dispatched")]
        for _ in range(self._outstanding("answers", done * LATER_VERSIONS, bool(answered))):
            request, after_s = self._draws.choice(answered)["explanationRequestId"], 0.0
            for _ in range(VERSIONS_AT_ONCE):
                self._control.change_answer(request, after_s=after_s, edit=self._draws.random() < 1 / 2)
                after_s += self._draws.uniform(0.5, 2.0)
        for _ in range(self._outstanding("requests", done * LATER_VERSIONS, bool(asked))):
            self._control.change(self._draws.choice(asked)["caseId"], frist=f"2031-01-{self._draws.randint(1, 28):02}")

    def _outstanding(self, what: str, part: float, possible: bool) -> int:
        missing = int(part * self._requests) - self._changed[what] if possible else 0
        self._changed[what] += missing
        return missing

    def _insert_foreign(self, done: float) -> None:
        """Insert documents that no release of casebridge wrote."""
        if done < FOREIGN_AT or self.foreign:
            return
        with _database_may_be_away():
            self.foreign = insert_foreign_documents(
                self._installation.world.database, self._installation.process.stores.institutions.active()[0].key
            )

    def _replay(self) -> None:
        """Replay as an operator does when the cause is gone.

        - messages that died of crashes and outages
        - messages that were set aside for a case whose data are right again, as the alert says
        """
        with _database_may_be_away():
            dead = self._installation.process.stores.queue.find({"status": MessageStatus.DEAD.value}, limit=100_000)
            for code in sorted({_code(message) for message in dead if _died_of_a_fault(message)}):
                order = Order(limit=len(dead), dry_run=False, reason="mended", asked_by="the soak")
                report = self._installation.process.operators.dead_letters.replay(DeadLetterFilter(code=code), order)
                self.replayed[code] += report.changed
            self._replay_corrected([message for message in dead if not _died_of_a_fault(message)])

    def _replay_corrected(self, dead_messages: list[dict[str, Any]]) -> None:
        if not dead_messages or not self.data.corrected:
            return
        corrected = {key_of(row) for row in self._control.cases() if row["caseId"] in self.data.corrected}
        ids = [message["payload"]["caseId"] for message in dead_messages if _is_of_a_case(message)]
        for case in self._installation.world.database.cases.find({"_id": {"$in": ids}}):
            name = case["correlationId"]
            if key_of_case(case) in corrected and self._tried[name] < TRIES_AFTER_CORRECTION:
                self._tried[name] += 1
                order = Order(limit=len(dead_messages), dry_run=False, reason="corrected", asked_by="the soak")
                self._installation.process.operators.dead_letters.replay(DeadLetterFilter(correlation_id=name), order)
                self.replayed["corrected data"] += 1

    def _finish(self) -> None:
        """Until nothing is left to do, or until nothing improves any more. The counts then show what is missing."""
        sys.stderr.write("  no more faults; carrying the rest of the work to its end\n")
        improved_at, best = time.monotonic(), float("-inf")
        while time.monotonic() - improved_at < STANDSTILL_SECONDS:
            with _database_may_be_away():
                self._make_folded_alerts_due()
                self._correct_rows_that_others_wait_for()
                left, done = self._left_and_done()
                if not left:
                    self._reconcile()
                    left, done = self._left_and_done()
                    left += self._unreported()
                if not left:
                    return
                if done - left > best:
                    improved_at, best = time.monotonic(), done - left
            self._work(1.0)
            time.sleep(CHECK_EVERY_SECONDS)

    def _correct_rows_that_others_wait_for(self) -> None:
        """Correct malformed rows without a person, as the next action of a waiting message says.

        The row of the message was removed. While the exam has a row that may be the same person's, nobody knows whether the
        request is withdrawn, so the message waits.
        """
        messages = self._installation.world.database.messages
        waiting = messages.find({"errors.code": WAITS_FOR_ROW, "status": {"$nin": ENDED}}, {"payload": 1, "errors": 1})
        payloads = [one["payload"] for one in waiting if _code(one) == WAITS_FOR_ROW]
        if payloads:
            self.data.correct_malformed_rows(
                {one["vurdId"] if "vurdId" in one else one["request"]["examId"] for one in payloads}
            )

    def _make_folded_alerts_due(self) -> None:
        """Make folded alerts due: cases after the first of a cause are reported after an hour, which is longer than a soak."""
        waiting = {"state": {"$in": ["sent", "muted"]}, "relay": {"$exists": False}, "dueAt": {"$exists": True}}
        self._installation.world.database.alerts.update_many(waiting, {"$set": {"dueAt": LONG_AGO}})

    def _left_and_done(self) -> tuple[int, int]:
        """How much is left to do, and how much is done, by the counts of the simulators and of casebridge."""
        counted, database = self._control.summary(), self._installation.world.database
        left = self.data.to_correct + (not self.foreign)
        left += counted["outstanding"] + counted["held"] + counted["stale_text"]
        left += database.messages.count_documents({"status": {"$nin": ENDED}})
        left += sum(map(_died_of_a_fault, database.messages.find({"status": MessageStatus.DEAD.value}, {"errors": 1})))
        left += database.alerts.count_documents({"dueAt": {"$exists": True}})
        left += database.processed_messages.count_documents({"effectsDueAt": {"$gt": LONG_AGO}})
        return left, counted["registrations"] + database.processed_messages.estimated_document_count()

    def _reconcile(self) -> None:
        """The reconciliation of an installation: compare with FS and WISEflow, two days back."""
        process = self._installation.process
        institutions = process.stores.institutions
        read_requests(process, institutions.active(), reach_back=REACH_BACK)
        poll_answers(process, institutions.active(), also_answered=True)

    def _unreported(self) -> int:
        reporting = Reporting(self._installation.world, self._control.cases())
        return sum(map(len, reporting.untold(self.foreign).values()))


def _died_of_a_fault(message: dict[str, Any]) -> bool:
    """Whether a crash or an outage killed the message. A foreign document may have no errors."""
    last = (message.get("errors") or [{}])[-1]
    return last.get("category") == ErrorCategory.TRANSIENT.value or last.get("code") in CODES_OF_CRASHES


def _code(message: dict[str, Any]) -> str:
    return str(message["errors"][-1]["code"])


def _is_of_a_case(message: dict[str, Any]) -> bool:
    payload = message.get("payload")
    return isinstance(payload, dict) and bool(payload.get("caseId"))


@contextmanager
def _database_may_be_away() -> Iterator[None]:
    """If the database cannot be reached, the operator tries again later."""
    try:
        yield
    except PyMongoError:
        return
