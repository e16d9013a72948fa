"""Local time in Norway, which FS tells all moments in."""

from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")
