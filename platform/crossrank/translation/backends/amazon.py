"""Amazon Translate by boto3: one text, one request; what its refusals mean is in `amazon_errors.py`.

The source language is always given: `auto` asks a second service, which fails in ways of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from crossrank.errors import BackendRefused, SettingsError
from crossrank.translation.backends.amazon_errors import answer_of, no_credentials
from crossrank.translation.service import FailureKind, ServiceAnswer

LIMIT_BYTES = 10_000
"""Most UTF-8 bytes of a text: https://docs.aws.amazon.com/translate/latest/dg/what-is-limits.html."""
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
FORMAL = ("de", "es", "es-MX", "fr", "fr-CA", "hi", "it", "ja", "ko", "nl", "pt-PT")
"""Target languages with a formality."""


@dataclass(frozen=True, slots=True)
class AmazonBackend:
    """Amazon Translate with the languages and settings of a job."""

    source: str
    target: str
    formality: str | None = None
    terminology: str | None = None
    region: str | None = None
    endpoint: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Service, languages and settings; not region or endpoint, which do not change a translation."""
        return {
            "backend": "amazon",
            "source": self.source,
            "target": self.target,
            "formality": self.formality,
            "terminology": self.terminology,
        }

    @property
    def limit_bytes(self) -> int:
        return LIMIT_BYTES

    def check(self) -> None:
        if self.formality is not None and self.target not in FORMAL:
            raise SettingsError(
                f"--formality is {self.formality}, and Amazon Translate has none for --target {self.target}, only for "
                f"{', '.join(FORMAL)}; leave it out"
            )

    def with_local_settings(self) -> AmazonBackend:
        """The back-end with region and endpoint as this machine's AWS settings have them."""
        import boto3
        from botocore.exceptions import BotoCoreError, NoRegionError

        try:
            if boto3.session.Session().get_credentials() is None:
                raise BackendRefused(no_credentials())
            meta = self._client(1).meta
        except NoRegionError as error:
            raise BackendRefused(
                "Amazon Translate needs a region, and none is set; set AWS_DEFAULT_REGION, such as us-east-1"
            ) from error
        except BotoCoreError as error:
            raise BackendRefused(f"Amazon Translate cannot be set up ({error}); look at the AWS settings") from error
        return replace(self, region=meta.region_name, endpoint=meta.endpoint_url)

    def load(self, threads: int) -> AmazonService:
        return AmazonService(self, self._client(threads))

    def _client(self, threads: int) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},  # the job retries, see paid_requests.py
            max_pool_connections=threads,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
        )
        session = boto3.session.Session()  # boto3's default session may not be shared by threads
        return session.client("translate", region_name=self.region, endpoint_url=self.endpoint, config=config)


class AmazonService:
    """A client of Amazon Translate. Its threads may share it."""

    def __init__(self, backend: AmazonBackend, client: Any) -> None:
        self._client = client
        self._fixed: dict[str, Any] = {
            "SourceLanguageCode": backend.source,
            "TargetLanguageCode": backend.target,
        }
        if backend.formality is not None:
            self._fixed["Settings"] = {"Formality": backend.formality.upper()}
        if backend.terminology is not None:
            self._fixed["TerminologyNames"] = [backend.terminology]

    def ask(self, text: str) -> ServiceAnswer:
        try:
            response = self._client.translate_text(Text=text, **self._fixed)
        except Exception as error:
            return answer_of(error, self._fixed["SourceLanguageCode"], self._fixed["TargetLanguageCode"])
        translation = response.get("TranslatedText")
        if not isinstance(translation, str):  # a proxy on the way that answers in its place
            return ServiceAnswer(
                FailureKind.UNANSWERED, "the answer holds no translation; is there a proxy on the way?"
            )
        try:
            translation.encode()
        except UnicodeEncodeError:
            return ServiceAnswer(FailureKind.FAILED, "the answer holds half a surrogate pair, which is not text")
        if not translation.strip():
            return ServiceAnswer(FailureKind.FAILED, "the translation is empty")
        return ServiceAnswer(FailureKind.TRANSLATED, translation)
