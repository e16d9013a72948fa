"""Names of headers that are no UTF-8: Kafka takes them from any producer, and kafka-python raises from within its parser.

That would be raised anew by every fetch, so that one such record would stop its partition for good. Its name is read with a
stand-in for each wrong byte instead. Only such a record is read twice; all others are read as before.
"""

from collections.abc import Callable
from typing import Any, Final

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class _Lenient(bytes):
    """Bytes of which each part may be decoded, whatever it holds."""

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        return _Lenient(part) if isinstance(part, bytes) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:  # noqa: ARG002 as `bytes` has it
        return super().decode(encoding, "replace")


class _Batch(DefaultRecordBatch):
    _buffer: Any

    def _read_msg(self, *arguments: Any) -> Any:
        begin = self._pos
        read: Final[Callable[..., Any]] = super()._read_msg
        try:
            return read(*arguments)
        except UnicodeDecodeError:
            whole, self._buffer = self._buffer, _Lenient(bytes(self._buffer))
            self._pos = begin
            try:
                return read(*arguments)
            finally:
                self._buffer = whole


def take_any() -> None:
    """Let every consumer of this process read such names. Right when called twice."""
    memory_records.DefaultRecordBatch = _Batch  # type: ignore[attr-defined]  # no interface: the parser looks for it there
