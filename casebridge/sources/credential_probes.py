"""Tries the credentials of paused institutions when that is due, and lets those whose credentials work go on.

Whoever comes first does it: a listener, a batch, a poll. When a trial is due is the business of `institutions.pauses`.
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
    """Safe to run at any time, side by side with itself: a due trial is handed to one caller only."""

    def __init__(self, pauses: Pauses, institutions: InstitutionRegister, clients: Clients) -> None:
        self._pauses = pauses
        self._institutions = institutions
        self._clients = clients

    def run_due(self) -> None:
        """Try every paused institution whose trial is due."""
        for pause in self._pauses.take_due_probes():
            try:
                self._try(pause)
            except BaseException as error:
                if is_away(error):
                    raise
                log_defect(error)

    def goes_on(self, institution: Institution) -> bool:
        """Whether a paused institution goes on from now: its trial is due, and its credentials work."""
        for pause in self._pauses.take_due_probes(institution.key, institution.exam_system):
            self._try(pause)
        paused = self._pauses.paused()
        return institution.key not in paused and institution.tenant not in paused

    def _try(self, pause: Pause) -> None:
        held_back = self._held_back(pause)
        refused = [institution.exam_system for institution in held_back if self._is_refused(institution, pause)]
        if not refused:
            self._pauses.lift(pause)
            # Of an institution that is carried no more nothing is to be tried: its messages are set aside, in sight.
            told = "its credentials work again" if held_back else "it is not carried any more"
            logger.info("%s goes on: %s", pause.who, told)
        elif pause.exam_system is None:
            self._pauses.narrow(pause, refused)

    def _held_back(self, pause: Pause) -> Sequence[Institution]:
        if pause.exam_system is None:
            return self._institutions.named(pause.institution)
        institution = self._institutions.get(pause.institution, pause.exam_system)
        return [] if institution is None else [institution]

    def _is_refused(self, institution: Institution, pause: Pause) -> bool:
        """Whether the pause is to stay: the credentials are refused, or the trial says nothing about them."""
        try:
            self._clients.student_registry(institution).check_credentials()
            self._clients.exam_system(institution).check_credentials()
        except AuthBrokenError as error:
            logger.info("%s stays paused after trial %d: %s", institution.tenant, pause.probes, error.code)
            return True
        except BaseException as error:
            if is_away(error):
                raise
            told = as_case_error(error)
            logger.info("%s: the trial of its credentials says nothing: %s", institution.tenant, told.code)
            # Without a known exam system no credentials can be refused: its messages say so themselves.
            return not (isinstance(told, PermanentError) and told.code == "exam_system.not_configured")
        return False
