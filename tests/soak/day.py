"""The day's work: requests appear in FS, answers are changed, an operator replays what died, and all the while faults strike.

The bad part ends when the work is nearly done, or when its time is up; then everything is mended and carried to its end. That
has no time of its own: it is over when nothing is left to do, or when nothing has moved for long.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import PyMongoError

from casebridge.errors import ErrorCategory
from casebridge.messaging.message import LONG_AGO, MessageStatus
from casebridge.operators.dead_letter import DeadLetterFilter
from casebridge.operators.dead_letters import Order
from tests.soak.faults import Faults, rules
from tests.soak.installation import Installation
from tests.soak.plan import plan

LOOK_EVERY_SECONDS: Final = 0.5
OPERATE_EVERY_SECONDS: Final = 3.0
ALMOST_ALL: Final = 0.97
LATER_VERSIONS: Final = 0.06
"""So many answers, of all, are changed after they were given, and about as many requests after they were made."""
VERSIONS_AT_ONCE: Final = 3
"""They follow each other so closely that one may be found while the one before is on its way."""
WAITING: Final = 300
"""So many requests wait for their registration at once, at most: those that appear later meet other faults."""
CODES_OF_CRASHES: Final = frozenset({"casebridge.worker_lost"})
STANDSTILL_SECONDS: Final = 90.0
"""Longer than a message may rightly wait: a minute, when its process has used up its share of a vendor's rates."""


class Day:
    """One soak. Afterwards `faults.struck` and `replayed` tell what it took."""

    def __init__(self, installation: Installation, seed: int, messages: int, requests: int) -> None:
        self._installation = installation
        self._control = installation.world.control
        self._requests = requests
        self._draws = random.Random(f"{seed}:day")  # noqa: S311 - a seed must repeat it
        self._changed = Counter[str]()
        self._operated_at = 0.0
        self.faults = Faults(installation, plan(seed, messages))
        self.replayed = Counter[str]()
        self.bad_answers: set[tuple[str, str]] = set()

    def run(self, seconds: float) -> None:
        """`seconds` bounds the bad part."""
        self._control.faults(*rules())
        began = time.monotonic()
        done = 0.0
        while (done < ALMOST_ALL or not self.faults.are_over) and (passed := time.monotonic() - began) < seconds:
            done = self._work()
            self.faults.go_on(max(done, passed / seconds))
            time.sleep(LOOK_EVERY_SECONDS)
        self.faults.mend_everything()
        self.bad_answers = {
            (rule["system"], rule["kind"]) for rule in self._control.faults_in_force() if rule["struck"]
        }
        self._control.clear_faults()
        self._carry_to_the_end()

    def _work(self) -> float:
        """Let the day go on as far as the work has come; returns the part that is done."""
        counted = self._control.summary()
        room = WAITING - (counted["requests"] - counted["registered"])
        if counted["held"] and room > 0:
            self._control.release(room)
        done: float = (counted["dispatched"] + counted["registered"]) / (2 * self._requests)
        if time.monotonic() - self._operated_at > OPERATE_EVERY_SECONDS:
            self._operated_at = time.monotonic()
            self._change_cases(done)
            self._replay()
            sys.stderr.write(
                f"  {done:4.0%} registered {counted['registered']} of {self._requests}, "
                f"faults {sum(self.faults.struck.values())}, replayed {sum(self.replayed.values())}\n"
            )
        return done

    def _change_cases(self, done: float) -> None:
        """As many changes as belong to this point of the work: to answers that were given, to requests that wait."""
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

    def _replay(self) -> None:
        """What an operator does when the cause is gone: what died of crashes and outages, and nothing else, is begun anew."""
        with _database_may_be_away():
            dead = self._installation.bridge.queue.find({"status": MessageStatus.DEAD.value})
            for code in sorted({_code(message) for message in dead if _died_of_the_day(message)}):
                order = Order(limit=len(dead), dry_run=False, reason="mended", asked_by="the soak")
                report = self._installation.bridge.dead_letters.replay(DeadLetterFilter(code=code), order)
                self.replayed[code] += report.changed

    def _carry_to_the_end(self) -> None:
        """Until nothing is left to do; or until nothing gets better any more, and then the books will say what is missing."""
        sys.stderr.write("  everything is mended; carrying what is left to its end\n")
        better_at, best = time.monotonic(), float("-inf")
        while time.monotonic() - better_at < STANDSTILL_SECONDS:
            with _database_may_be_away():
                left, done = self._left_and_done()
                if not left:
                    return
                if done - left > best:
                    better_at, best = time.monotonic(), done - left
            self._work()
            time.sleep(LOOK_EVERY_SECONDS)

    def _left_and_done(self) -> tuple[int, int]:
        """How much is still to be done, and how much has been done, by everybody's count."""
        counted, database = self._control.summary(), self._installation.world.database
        left = counted["outstanding"] + counted["held"] + counted["stale_text"]
        left += database.messages.count_documents({}) + database.alerts.count_documents({"state": "owed"})
        left += database.processed_messages.count_documents({"effectsDueAt": {"$gt": LONG_AGO}})
        return left, counted["registrations"] + database.processed_messages.estimated_document_count()


def _died_of_the_day(message: dict[str, Any]) -> bool:
    last = message["errors"][-1]
    return last["category"] == ErrorCategory.TRANSIENT.value or last["code"] in CODES_OF_CRASHES


def _code(message: dict[str, Any]) -> str:
    return str(message["errors"][-1]["code"])


@contextmanager
def _database_may_be_away() -> Iterator[None]:
    """The operator tries again a little later."""
    try:
        yield
    except PyMongoError:
        return
