"""Sends alerts to the operators' channel in Slack, by a bot token or an incoming webhook (contract 12).

The relay decides what an alert says and when it is sent again. The text must not contain personal data.
"""

import logging
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final

from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError, SlackClientError

from casebridge.errors import AuthBrokenError, CaseError, NotReadyError, RateLimitedError, TransientError
from casebridge.settings import HttpSettings, SlackSettings
from casebridge.telemetry import observer
from casebridge.tenant import UNKNOWN
from resources.http.rate_limit import WAIT_AFTER_429, RateLimit

SYSTEM: Final = "Slack"
LONGEST_TEXT: Final = 4000
"""In characters. Slack recommends at most 4,000, and cuts or refuses a text over 40,000."""
SHORTENED: Final = "\n… (shortened)"
REFUSED_CREDENTIALS: Final = frozenset(
    {
        "access_denied", "account_inactive", "invalid_auth", "missing_scope", "no_permission", "not_authed",
        "not_allowed_token_type", "org_login_required", "team_access_not_granted", "token_expired", "token_revoked",
    }
)  # fmt: skip
REVOKED_WEBHOOK: Final = frozenset({401, 403, 404, 410})
"""Slack's statuses for a webhook that was removed, or whose channel or workspace is gone."""
ERROR_NAME: Final = re.compile(r"[a-z_]{1,60}")


class SlackChannel:
    """Implements the port `AlertChannel`. Thread-safe. Messages are sent one after the other, `seconds_between` apart."""

    def __init__(self, settings: SlackSettings, http_settings: HttpSettings | None = None) -> None:
        self._channel = settings.channel
        rates = [(1, settings.seconds_between)] if settings.seconds_between > 0 else []
        self._rate_limit = RateLimit(SYSTEM, rates)
        options: dict[str, Any] = {
            "timeout": max(1, round((http_settings or HttpSettings()).read_seconds)),
            # The SDK does not retry, because the alert's document does. It does not log, because it would log secret addresses.
            "retry_handlers": [],
            "logger": _silent_logger(),
        }
        self._web: WebClient | None = None
        self._webhook: WebhookClient | None = None
        if settings.token is not None:
            self._web = WebClient(settings.token.get_secret_value(), base_url=settings.api_url, **options)
        elif settings.webhook_url is not None:
            self._webhook = WebhookClient(settings.webhook_url.get_secret_value(), **options)

    def send(self, text: str) -> None:
        """Post a message. Raises errors of `casebridge.errors`; `NotReadyError` if neither token nor webhook is set."""
        if self._web is None and self._webhook is None:
            raise NotReadyError(
                "slack.not_configured",
                "Neither a Slack token nor a webhook is set.",
                "Set CASEBRIDGE_SLACK__TOKEN or …__WEBHOOK_URL; the alerts wait in MongoDB.",
                system=SYSTEM,
            )
        self._rate_limit.pass_gate()
        observation = observer().call(SYSTEM, UNKNOWN, "POST", "/chat.postMessage" if self._web else "/webhook")
        try:
            self._send(text)
        except CaseError as error:
            observation.ended(error.code)
            raise
        observation.ended(status=200)

    def _send(self, text: str) -> None:
        try:
            self._post(shortened(text))
        except (OSError, HTTPException) as error:
            # The SDK passes on all errors of urllib and http.client. Timeouts are OSErrors.
            raise self._error(TransientError, "unreachable", f"could not be reached ({type(error).__name__})") from None
        except (ValueError, LookupError, SlackClientError) as error:
            raise self._error(
                TransientError, "answer_unknown", f"answered unreadably ({type(error).__name__})"
            ) from None

    def close(self) -> None:
        """Wake threads that wait to send."""
        self._rate_limit.close()

    def _post(self, text: str) -> None:
        if self._web is not None:
            try:
                self._web.chat_postMessage(channel=self._channel, text=text, unfurl_links=False, unfurl_media=False)
            except SlackApiError as error:
                response = error.response
                raise self._refused(response.status_code, response.headers, _name(response.get("error"))) from None
        elif self._webhook is not None:
            answer = self._webhook.send(text=text, unfurl_links=False, unfurl_media=False)
            if answer.status_code != 200 or answer.body != "ok":
                raise self._refused(answer.status_code, answer.headers, _name(answer.body))

    def _refused(self, status: int, headers: Mapping[str, str], name: str) -> CaseError:
        problem = f"answered with status {status} ({name})"
        if status == 429:
            wait = self._rate_limit.observe(status, headers)
            error = self._error(RateLimitedError, "rate_limited", problem)
            error.retry_after = wait or WAIT_AFTER_429
            return error
        if name in REFUSED_CREDENTIALS or (self._web is None and status in REVOKED_WEBHOOK):
            return self._error(AuthBrokenError, "credentials_refused", problem)
        return self._error(TransientError, "refused", problem)

    def _error(self, kind: type[CaseError], code: str, what: str) -> CaseError:
        method = "chat.postMessage" if self._web is not None else "incoming webhook"
        return kind(
            f"slack.{code}",
            f"Slack {method} {what}.",
            "Check CASEBRIDGE_SLACK__TOKEN, …__CHANNEL or …__WEBHOOK_URL if it lasts; the alert is sent again.",
            system=SYSTEM,
        )


def shortened(text: str) -> str:
    """`text`, cut if it is longer than Slack recommends."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - len(SHORTENED)] + SHORTENED


def _name(error: object) -> str:
    """Slack's name for an error. Anything else, such as a page of a proxy, is not quoted."""
    return error if isinstance(error, str) and ERROR_NAME.fullmatch(error) else "no error name"


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.sdk")
    logger.setLevel(logging.CRITICAL)
    return logger
