"""The types of the values in FS's rows. They accept every harmless spelling of a value, and no value that cannot be true.

FS writes `kommisjonsId` as text or number and dates in ISO or Norwegian form, with or without a time
(contract 2.2 leaves this open).
"""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

OSLO: Final = ZoneInfo("Europe/Oslo")
FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
"""Some registries use days outside these two for "none" or "never". No case has such a day."""

NORWEGIAN: Final = re.compile(
    r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:,?[T ]+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?)?", re.ASCII
)
ZONED_DAY: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:Z|[+-]\d{2}:\d{2})", re.ASCII)
"""A day as XML writes it, with a zone and without a time. The zone is ignored."""
LONGEST_TEXT: Final = 256
DIGITS: Final = re.compile(r"\d{1,30}", re.ASCII)
CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")  # noqa: TRY004 see _read_day
    if isinstance(value, str):
        bare = unicodedata.normalize("NFKC", value).strip()  # some keyboards write full-width digits
        if not DIGITS.fullmatch(bare):
            raise ValueError("not a number")
        return int(bare)
    return value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a truth value is no text")  # noqa: TRY004 see _read_day
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    if isinstance(value, str) and CONTROLS.search(value):
        raise ValueError("a character that no text has")
    return value


def _day(value: Any) -> date:
    day = _read_day(value)
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError("not a day that a case can have")
    return day


def _day_or_none(value: Any) -> date | None:
    return None if value is None or (isinstance(value, str) and not value.strip()) else _day(value)


def _read_day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("not a date")  # noqa: TRY004 pydantic reports the field of a ValueError
    text = value.strip()
    if norwegian := NORWEGIAN.fullmatch(text):
        day, month, year = map(int, norwegian.groups()[:3])
        return date(year, month, day)
    if day_alone := ZONED_DAY.fullmatch(text):
        return date.fromisoformat(day_alone[1])
    moment = datetime.fromisoformat(text)
    try:
        # The day in Norway: 22:40 UTC on 30 June is 1 July there.
        return (moment.astimezone(OSLO) if moment.tzinfo else moment).date()
    except OverflowError:
        raise ValueError("not a day that a case can have") from None


def moment(value: Any) -> datetime:
    """Read a time: ISO 8601, the Norwegian form, or seconds of Unix time. A text without a zone is Oslo's time.

    Raises `ValueError` for anything else, and for days that do not exist.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, OSError):
            raise ValueError("not a time that a calendar has") from None
    if not isinstance(value, str):
        raise ValueError("not a time")  # noqa: TRY004 see _read_day
    text = value.strip()
    if norwegian := NORWEGIAN.fullmatch(text):
        day, month, year, hour, minute, second = (int(part or 0) for part in norwegian.groups())
        read = datetime(year, month, day, hour, minute, second, tzinfo=OSLO)
    else:
        read = datetime.fromisoformat(text)
    try:
        return (read if read.tzinfo else read.replace(tzinfo=OSLO)).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a time that a calendar has") from None


FsNumber = Annotated[int, BeforeValidator(_number), Field(ge=0, lt=2**63)]
"""A number from FS, no larger than MongoDB can store."""
FsText = Annotated[str, BeforeValidator(_text), Field(max_length=LONGEST_TEXT)]
"""A name or code from FS. A number becomes the text of its digits."""
FsKey = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=1024)]
"""The encoded key of an exam."""
FsDate = Annotated[date, BeforeValidator(_day)]
"""A day in Norway."""
OptionalFsDate = Annotated[date | None, BeforeValidator(_day_or_none)]
"""A day in Norway, or `None`. FS may also write an empty text for none."""


def _of_exam(value: Any) -> str | None:
    """The text, also if it is in an object such as `tid: {reel: …}`. `None` for any other value, as if FS had not sent it."""
    try:
        text = _text(value.get("reel") if isinstance(value, dict) else value)
    except ValueError:
        return None
    return text if isinstance(text, str) and len(text) <= LONGEST_TEXT else None


ExamText = Annotated[str | None, BeforeValidator(_of_exam)]
