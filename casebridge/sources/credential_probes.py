"""Probes the credentials of paused institutions when that is due. If they work, the pause ends.

A listener, a batch or a poll does this, whichever comes first. `institutions.pauses` decides when a probe is due.
"""

import logging
from collections.abc import Sequence

from casebridge.database_faults import is_away
from casebridge.defect import as_case_error, log_defect
from casebridge.errors import AuthBrokenError, PermanentError
from casebridge.exams.ports import Clients
from casebridge.institutions.institution import Institution
from casebridge.institutions.pauses import Pause, Pauses
from casebridge.institutions.register import InstitutionRegister

logger = logging.getLogger(__name__)


class CredentialProbes:
    """Several may run at once: only one caller gets a due probe."""

    def __init__(self, pauses: Pauses, institutions: InstitutionRegister, clients: Clients) -> None:
        self._pauses = pauses
        self._institutions = institutions
        self._clients = clients

    def run_due(self) -> None:
        """Probe the credentials of every pause whose probe is due."""
        for pause in self._pauses.take_due_probes():
            try:
                self._probe(pause)
            except BaseException as error:
                if is_away(error):
                    raise
                log_defect(error)

    def goes_on(self, institution: Institution) -> bool:
        """Whether a paused institution is no longer paused, after a probe if one is due."""
        for pause in self._pauses.take_due_probes(institution.key, institution.exam_system):
            self._probe(pause)
        paused = self._pauses.paused()
        return institution.key not in paused and institution.tenant not in paused

    def _probe(self, pause: Pause) -> None:
        paused_institutions = self._paused_institutions(pause)
        refused = [
            institution.exam_system for institution in paused_institutions if self._is_refused(institution, pause)
        ]
        if not refused:
            self._pauses.lift(pause)
            # An institution that is no longer active has no credentials to probe. Its messages are set aside, so people see them.
            reason = "its credentials work again" if paused_institutions else "it is not carried any more"
            logger.info("%s goes on: %s", pause.who, reason)
        elif pause.exam_system is None:
            self._pauses.narrow(pause, refused)

    def _paused_institutions(self, pause: Pause) -> Sequence[Institution]:
        if pause.exam_system is None:
            return self._institutions.named(pause.institution)
        institution = self._institutions.get(pause.institution, pause.exam_system)
        return [] if institution is None else [institution]

    def _is_refused(self, institution: Institution, pause: Pause) -> bool:
        """Whether the pause must stay: the credentials are refused, or the probe failed for another reason."""
        try:
            self._clients.student_registry(institution).check_credentials()
            self._clients.exam_system(institution).check_credentials()
        except AuthBrokenError as error:
            logger.info("%s stays paused after trial %d: %s", institution.tenant, pause.probes, error.code)
            return True
        except BaseException as error:
            if is_away(error):
                raise
            reason = as_case_error(error)
            logger.info("%s: the trial of its credentials says nothing: %s", institution.tenant, reason.code)
            # Without a configured exam system no credentials can be refused. The messages report the missing configuration.
            return not (isinstance(reason, PermanentError) and reason.code == "exam_system.not_configured")
        return False
