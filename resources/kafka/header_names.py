"""Lets consumers read headers whose names are not UTF-8. Kafka accepts such names, but kafka-python's parser raises an error.

Each fetch would raise it again, so one such record would block its partition for ever. Here the name is read with a replacement
character for each wrong byte. Only such records are read twice; all others are read as usual.
"""

from collections.abc import Callable
from typing import Any, Final

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch


class _Lenient(bytes):
    """Bytes that decode without an error, whatever they contain. So do their slices."""

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
    """Let every consumer of this process read such names. It may be called twice."""
    memory_records.DefaultRecordBatch = _Batch  # type: ignore[attr-defined]  # no interface: the parser takes it from here
