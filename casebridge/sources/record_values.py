"""What the record readers share: they read a value into a model, find its institution, and build the errors."""

from typing import Final, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from casebridge.errors import CaseError, PermanentError
from casebridge.institutions.institution import Institution
from casebridge.institutions.register import InstitutionRegister
from casebridge.messaging.queue.message import UNKNOWN
from casebridge.personal_data import DomainModel
from casebridge.sources.record import Record
from casebridge.sources.record_reader import Reading
from casebridge.tenant import institution_name, normal_name

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark that some senders put before their JSON. RFC 8259 allows a reader to ignore it."""

Value = TypeVar("Value", bound=DomainModel)


class Claim(DomainModel):
    """The institution that a record names, in either spelling of the contract (2.2)."""

    org_id: str | None = Field(None, alias="orgId")
    org: str | None = None
    env: str | None = None

    @classmethod
    def of(cls, record: Record) -> "Claim":
        try:
            return cls.model_validate_json(content(record))
        except ValidationError:
            return cls.model_validate({})


def content(record: Record) -> bytes:
    """The value without a byte order mark. Empty for a tombstone, which has no value."""
    return (record.value or b"").removeprefix(BOM)


def read_value(model: type[Value], record: Record) -> Value:
    """The value as a model. Raises `PermanentError` `kafka.record_unreadable`, which names fields but never quotes a value."""
    try:
        return model.model_validate_json(content(record))
    except ValidationError as error:
        raise unreadable(record, error) from None


def unreadable(record: Record, error: ValidationError, below: str = "") -> PermanentError:
    """The error of an unreadable record. `below` is the field that was validated, if it was not the whole value."""
    named = ", ".join(sorted({".".join(filter(None, (below, _field(problem)))) for problem in error.errors()} - {""}))
    cause = f"it lacks or misstates: {named}" if named else "its value is not a JSON object"
    return PermanentError(
        "kafka.record_unreadable",
        f"The record {record.place} cannot be read: {cause}.",
        "Have its sender correct it and send it again; the record as it came is in the message in oai.meldingQ.",
        system="Kafka",
    )


def vurd_id_unreadable(record: Record) -> PermanentError:
    """The error for a `vurdId` that cannot be decoded. The sender must correct it, not FS."""
    return PermanentError(
        "kafka.record_unreadable",
        f"The record {record.place} cannot be read: it lacks or misstates: vurdId.",
        "Have its sender correct it and send it again; the record as it came is in the message in oai.meldingQ.",
        system="Kafka",
    )


def _field(problem: ErrorDetails) -> str:
    """The outermost field name, which is one of ours. Names inside the field come from the sender and may be personal data."""
    return next((name for name in problem["loc"] if isinstance(name, str)), "")


def institution_of(
    record: Record, org_id: str, env: str, exam_system: str, register: InstitutionRegister
) -> Institution:
    """The institution of a record. Raises `PermanentError` if it is not active on that exam system."""
    institution = register.get(institution_name(org_id, env), exam_system)
    if institution is None:
        raise PermanentError(
            "kafka.institution_unknown",
            f"The record {record.place} is of an institution that is not active here on that exam system.",
            "Activate the institution (docs/adding-an-institution.md), then replay the message; or discard it.",
            system="Kafka",
        )
    return institution


def failed(record: Record, error: CaseError, register: InstitutionRegister) -> Reading:
    """The reading of a record that cannot be handled. It names the institution if the configuration has it.

    A record of an environment that this process does not serve goes into the inbox, too. A process that serves it reads it there.
    """
    claim = Claim.of(record)
    org_id, env = claim.org_id or claim.org or "", claim.env or ""
    if not register.is_configured(org_id, env):
        return Reading(record, error=error, org_id=UNKNOWN, env=UNKNOWN)
    return Reading(record, error=error, org_id=normal_name(org_id), env=normal_name(env))
