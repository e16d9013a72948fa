"""The client of LaaS, the log index: one document for each outcome, without personal data (contract 12 `[inferred]`)."""

from typing import Any, Final

from casebridge.errors import PermanentError
from casebridge.settings import HttpSettings, LaasSettings
from resources.http.client import HttpCall, HttpClient, Refusal

SYSTEM: Final = "LaaS"
REFUSED: Final = Refusal(
    PermanentError,
    "refused",
    "LaaS does not take the document or the index.",
    "Check CASEBRIDGE_LAAS__URL and …__INDEX with the people who run LaaS; the cases themselves are not affected.",
)
DOCUMENT_REFUSED: Final = Refusal(
    PermanentError,
    "document_refused",
    "LaaS does not take one document.",
    "Show it to the people who run LaaS: it stands in the message's field undelivered; the case itself is not affected.",
)


class LaasClient:
    """Implements the port `LogIndex`. Thread-safe. Build it only if an address is set."""

    def __init__(self, settings: LaasSettings, http_settings: HttpSettings, http: HttpClient | None = None) -> None:
        self._index = settings.index
        self.http = http or HttpClient(SYSTEM, settings.url or "", http_settings)

    def index(self, document: dict[str, Any]) -> None:
        """Send a document: `POST {base}/{index}/_doc`. After a crash it may be sent twice, with the same id in the document."""
        self.http.send(
            HttpCall(
                "POST",
                "/{index}/_doc",
                path={"index": self._index},
                json=document,
                refusals={
                    **dict.fromkeys((403, 404), REFUSED),
                    **dict.fromkeys((400, 413, 422), DOCUMENT_REFUSED),
                },
            )
        ).json()

    def close(self) -> None:
        self.http.close()
