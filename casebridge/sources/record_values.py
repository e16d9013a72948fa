"""What the readers of Kafka's records share: a value read into a model, its institution found, and what to say if not."""

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
"""The byte order mark that some senders put before their JSON; RFC 8259 lets a reader pass over it."""

Value = TypeVar("Value", bound=DomainModel)


class Claim(DomainModel):
    """Whose a record says it is, in either spelling of the contract (2.2)."""

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
    """The value without a byte order mark; nothing for a tombstone, which has no value."""
    return (record.value or b"").removeprefix(BOM)


def read_value(model: type[Value], record: Record) -> Value:
    """Raises `PermanentError` `kafka.record_unreadable`, which names fields and never quotes a value."""
    try:
        return model.model_validate_json(content(record))
    except ValidationError as error:
        raise unreadable(record, error) from None


def unreadable(record: Record, error: ValidationError, below: str = "") -> PermanentError:
    """What is wrong with a record; `below` is the field that held what was validated."""
    named = ", ".join(sorted({".".join(filter(None, (below, _field(problem)))) for problem in error.errors()} - {""}))
    cause = f"it lacks or misstates: {named}" if named else "its value is not a JSON object"
    return PermanentError(
        "kafka.record_unreadable",
        f"The record {record.place} cannot be read: {cause}.",
        "Have its sender correct it and send it again; the record as it came is in the message in oai.meldingQ.",
        system="Kafka",
    )


def vurd_id_unreadable(record: Record) -> PermanentError:
    """The `vurdId` of a record cannot be decoded: its sender's fault, not FS's."""
    return PermanentError(
        "kafka.record_unreadable",
        f"The record {record.place} cannot be read: it lacks or misstates: vurdId.",
        "Have its sender correct it and send it again; the record as it came is in the message in oai.meldingQ.",
        system="Kafka",
    )


def _field(problem: ErrorDetails) -> str:
    """The name of a field of ours. Below it a sender chooses the names, and may have chosen a student's."""
    return next((name for name in problem["loc"] if isinstance(name, str)), "")


def institution_of(
    record: Record, org_id: str, env: str, exam_system: str, register: InstitutionRegister
) -> Institution:
    """Raises `PermanentError` when the institution is not carried, or not on that exam system."""
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
    """The reading of a record that came to an error: whose it is, where the configuration knows that institution.

    One of an environment that this process does not serve is left in the inbox to whoever serves it, and read there.
    """
    claim = Claim.of(record)
    org_id, env = claim.org_id or claim.org or "", claim.env or ""
    if not register.is_configured(org_id, env):
        return Reading(record, error=error, org_id=UNKNOWN, env=UNKNOWN)
    return Reading(record, error=error, org_id=normal_name(org_id), env=normal_name(env))
