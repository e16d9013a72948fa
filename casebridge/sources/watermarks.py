"""Up to which time the FS of each institution was read: `oai.LastAudit` (contract 11).

The mark is the newest change that FS itself reported. It is never later than now, so a wrong clock cannot cause a change to be
skipped. It only says where the next read starts: the keys in the inbox make sure that a request is not accepted twice.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from casebridge.clock import Clock
from casebridge.crash_points import crash_point
from casebridge.database import Database, Document, insert_absent
from casebridge.errors import CaseError
from casebridge.institutions.institution import Institution
from casebridge.messaging.queue.message import is_count, moment_of
from casebridge.tenant import institution_name

MODULE: Final = "begrunnelse"
ANSWERS: Final = "begrunnelse-svar"
"""The module of the polls for answers. They have no mark: only their failures in a row are stored."""
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(days=1)
"""No release sets a mark further in the future. Such a mark was set by hand, and it would hide every change."""


@dataclass(frozen=True)
class Watermark:
    """`since` is the newest change that was read. `failures` counts the failed reads in a row."""

    since: datetime | None
    failures: int


class Watermarks:
    """Reads and writes the rows of one module in `oai.LastAudit`. A module is what is polled, such as FS's requests."""

    def __init__(self, database: Database, clock: Clock, module: str = MODULE) -> None:
        self._watermarks = database.watermarks
        self._clock = clock
        self._module = module

    def get(self, institution: Institution) -> Watermark:
        row = self._watermarks.find_one({"_id": self._key(institution)}) or self._of_earlier_versions(institution)
        return Watermark(self._mark(row), _failures(row))

    def _mark(self, row: Document) -> datetime | None:
        """The mark of a row. `None` if there is none or it is not a valid time: then FS is read from the first day on."""
        mark = moment_of(row, "siden")
        return mark if mark is not None and EARLIEST <= mark <= self._clock.now() + AHEAD else None

    def read_well(self, institution: Institution, newest: datetime | None) -> None:
        """Store that a read succeeded. `newest` is the newest change in it.

        The mark never moves back, and never into the future: a change that FS dates in the future would hide every later one.
        """
        self._ensure(institution)
        now = self._clock.now()
        self._watermarks.update_one(
            {"_id": self._key(institution)},
            {"$set": {"status": "processed", "updated": now, "failures": 0, "error": None}},
        )
        if newest is not None:
            mark = min(newest, now)
            self._watermarks.update_one(
                {
                    "_id": self._key(institution),
                    "$or": [
                        {"siden": None},
                        {"siden": {"$lt": mark}},
                        {"siden": {"$gt": now + AHEAD}},
                        {"siden": {"$not": {"$type": "date"}}},
                    ],
                },
                {"$set": {"siden": mark}},
            )
        crash_point("watermark_written")

    def note_failed_read(self, institution: Institution, error: CaseError) -> int:
        """Store that a read failed. The mark does not move. Return how many reads in a row have failed now."""
        self._ensure(institution)
        row = self._watermarks.find_one({"_id": self._key(institution)}, {"failures": 1}) or {}
        if not is_count(row.get("failures")):
            self._watermarks.update_one({"_id": self._key(institution)}, {"$set": {"failures": 0}})
        # The number is incremented and not set, because another process may fail at the same time.
        self._watermarks.update_one(
            {"_id": self._key(institution)},
            {
                "$set": {"status": "failed", "updated": self._clock.now(), "error": error.code},
                "$inc": {"failures": 1},
            },
        )
        return self.get(institution).failures

    def tenants(self) -> set[tuple[str, str]]:
        """Institution and exam system of everything that was ever read, active today or not."""
        rows = self._watermarks.find({}, {"orgId": 1, "env": 1, "examSystem": 1})
        return {(institution_name(row.get("orgId"), row.get("env")), str(row.get("examSystem"))) for row in rows}

    def recovered(self, institution: Institution) -> None:
        """Store that a poll without a mark succeeded: the failures are no longer in a row. Writes only if there were any."""
        if self.get(institution).failures:
            self.read_well(institution, None)

    def _of_earlier_versions(self, institution: Institution) -> Document:
        """The row of an earlier version, which used the names as the configuration spelled them. Empty if there is none."""
        if institution.written is None:
            return {}
        return self._watermarks.find_one({"_id": "|".join((*institution.written, self._module))}) or {}

    def _ensure(self, institution: Institution) -> None:
        if self._watermarks.find_one({"_id": self._key(institution)}, {"_id": 1}) is None:
            earlier = self._of_earlier_versions(institution)
            insert_absent(
                self._watermarks,
                [
                    {
                        "_id": self._key(institution),
                        "orgId": institution.org_id,
                        "env": institution.env,
                        "examSystem": institution.exam_system,
                        "module": self._module,
                        "siden": self._mark(earlier),
                        "failures": _failures(earlier),
                        "status": "new",
                    }
                ],
            )

    def _key(self, institution: Institution) -> str:
        return row_key(institution, self._module)


def row_key(institution: Institution, module: str) -> str:
    """The key of the row of one module, for an institution on one exam system."""
    return f"{institution.org_id}|{institution.env}|{institution.exam_system}|{module}"


def _failures(row: Document) -> int:
    return int(row["failures"]) if is_count(row.get("failures")) else 0
