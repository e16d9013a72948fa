"""Local time in Norway. FS writes all times in it."""

from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")
