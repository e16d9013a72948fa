"""The key of a vurderingsenhet in FS, and the two codes that travel for it: `vurdId` and the exam system's source code.

Only the key and its codecs belong here; which flow a source code leads to is in `flow_matching`.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from casebridge.errors import PermanentError

SEPARATOR: Final = "||"


@dataclass(frozen=True, order=True)
class ExamKey:
    """One vurderingsenhet: the six key columns of FS (contract 3.2). `vurdtidkode` is not always the term."""

    institusjonsnr: int
    emnekode: str
    versjonskode: str
    vurdkombkode: str
    arstall: int
    vurdtidkode: str

    @property
    def parts(self) -> tuple[str, ...]:
        return (
            str(self.institusjonsnr),
            self.emnekode,
            self.versjonskode,
            self.vurdkombkode,
            str(self.arstall),
            self.vurdtidkode,
        )

    @property
    def vurd_id(self) -> str:
        """The encoded key as it stands in URLs and messages: base64url without padding (contract 3.2 `[inferred]`)."""
        return base64.urlsafe_b64encode(SEPARATOR.join(self.parts).encode()).rstrip(b"=").decode()

    @property
    def source_code(self) -> str:
        """The SIS code by which WISEflow knows the exam: the parts in the FS client's order (contract 4.3 `[inferred]`)."""
        return SEPARATOR.join(self.parts)

    @classmethod
    def from_vurd_id(cls, vurd_id: str) -> "ExamKey":
        """Decode a `vurdId`. Raises `PermanentError` `fs.vurd_id_unreadable` when it is not one."""
        try:
            decoded = base64.urlsafe_b64decode(vurd_id + "=" * (-len(vurd_id) % 4)).decode()
            institusjonsnr, emnekode, versjonskode, vurdkombkode, arstall, vurdtidkode = decoded.split(SEPARATOR)
            return cls(int(institusjonsnr), emnekode, versjonskode, vurdkombkode, int(arstall), vurdtidkode)
        except (binascii.Error, UnicodeError, ValueError) as error:
            raise PermanentError(
                "fs.vurd_id_unreadable",
                f"The vurdId that FS sent cannot be decoded ({type(error).__name__}).",
                "Ask the FS team for the vurderingsenhet; the raw row is in the message in oai.meldingQ.",
                system="FS",
            ) from None
