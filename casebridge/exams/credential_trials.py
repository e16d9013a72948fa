"""Tries the credentials of paused institutions when that is due, and lets those whose credentials work go on.

Whoever comes first does it: a listener, a batch, a poll. When a trial is due is the business of `messaging.pauses`.
"""

import logging

from pymongo.errors import PyMongoError

from casebridge.defect import as_case_error
from casebridge.errors import AuthBrokenError
from casebridge.exams.institution import Institution
from casebridge.exams.institution_register import InstitutionRegister
from casebridge.exams.ports import Outside
from casebridge.messaging.pauses import Pause, Pauses

logger = logging.getLogger(__name__)


class CredentialTrials:
    """Safe to run at any time, side by side with itself: a due trial is handed to one caller only."""

    def __init__(self, pauses: Pauses, institutions: InstitutionRegister, outside: Outside) -> None:
        self._pauses = pauses
        self._institutions = institutions
        self._outside = outside

    def run_due(self) -> None:
        """Try every paused institution whose trial is due."""
        for pause in self._pauses.take_due_trials():
            institution = self._institutions.get(pause.institution)
            if institution is not None:
                self._try(institution, pause)

    def goes_on(self, institution: Institution) -> bool:
        """Whether a paused institution goes on from now: its trial is due, and its credentials work."""
        return any(self._try(institution, pause) for pause in self._pauses.take_due_trials(institution.key))

    def _try(self, institution: Institution, pause: Pause) -> bool:
        try:
            self._outside.student_registry(institution).check_credentials()
            self._outside.exam_system(institution).check_credentials()
        except AuthBrokenError as error:
            logger.info("%s stays paused after trial %d: %s", pause.institution, pause.trials, error.code)
            return False
        except PyMongoError:
            raise
        except Exception as error:  # noqa: BLE001 whatever it is, it must not keep the others from their trial
            logger.info(
                "%s: the trial of its credentials says nothing: %s", pause.institution, as_case_error(error).code
            )
            return False
        self._pauses.lift(pause.institution)
        logger.info("%s goes on: its credentials work again", pause.institution)
        return True
