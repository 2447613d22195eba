"""What Amazon's refusals mean: too fast, not now, not this text, or nobody here. No secret is told on."""

from __future__ import annotations

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError

from crossrank.translation.backends.amazon import AmazonBackend, AmazonService
from crossrank.translation.backends.amazon_errors import answer_of
from crossrank.translation.service import FailureKind, ServiceAnswer

ENDPOINT = {"endpoint_url": "https://translate.eu-west-1.amazonaws.com"}


def refused(code: str, message: str = "told", status: int = 400) -> exceptions.ClientError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return exceptions.ClientError(response, "TranslateText")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refused("TooManyRequestsException", status=429), FailureKind.THROTTLED),
        (refused("ThrottlingException"), FailureKind.THROTTLED),
        (refused("SomethingNew", status=429), FailureKind.THROTTLED),
        (refused("InternalServerException", status=500), FailureKind.BUSY),
        (refused("ServiceUnavailableException", status=503), FailureKind.BUSY),
        (refused("", status=502), FailureKind.BUSY),
        (exceptions.EndpointConnectionError(**ENDPOINT), FailureKind.UNREACHABLE),
        (exceptions.ConnectTimeoutError(**ENDPOINT), FailureKind.UNREACHABLE),
        (exceptions.ReadTimeoutError(**ENDPOINT), FailureKind.UNANSWERED),
        (exceptions.ConnectionClosedError(**ENDPOINT), FailureKind.UNANSWERED),
        (ResponseParserError("no JSON"), FailureKind.UNANSWERED),
        (refused("InvalidRequestException"), FailureKind.FAILED),
        (refused("TextSizeLimitExceededException"), FailureKind.FAILED),
        (exceptions.ParamValidationError(report="Invalid length for parameter Text"), FailureKind.FAILED),
        (refused("UnsupportedLanguagePairException"), FailureKind.REFUSED),
        (refused("AccessDeniedException"), FailureKind.REFUSED),
        (refused("ExpiredTokenException"), FailureKind.REFUSED),
        (refused("SomethingNew"), FailureKind.REFUSED),
        (exceptions.NoCredentialsError(), FailureKind.REFUSED),
        (ZeroDivisionError("a bug of ours"), FailureKind.REFUSED),
    ],
)
def test_each_error_is_asked_again_or_not_as_it_deserves(error: Exception, kind: FailureKind) -> None:
    answer = answer_of(error, "en", "ko")
    assert answer.kind is kind
    assert answer.text
    assert "\n" not in answer.text


def test_the_refusal_of_a_signature_does_not_put_the_session_token_into_a_log() -> None:
    # As AWS says it, with what was signed; here shorter before that, as another region or version may be.
    message = (
        "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for "
        "this request should have been\n'POST\n/\n\nhost:translate.eu-west-1.amazonaws.com\n"
        "x-amz-security-token:IQoJSECRET\n'"
    )
    answer = answer_of(refused("InvalidSignatureException", message), "en", "ko")
    assert answer.kind is FailureKind.REFUSED
    assert answer.text == (
        "AWS does not know these credentials (The request signature we calculated does not match the signature you "
        "provided.); check the keys and the clock"
    )


def test_the_password_of_an_endpoint_is_not_put_into_a_log_either() -> None:
    error = exceptions.EndpointConnectionError(endpoint_url="https://user:secret@proxy.example:8443/")
    told = answer_of(error, "en", "ko").text
    assert "secret" not in told
    assert "https://proxy.example:8443/" in told


class Client:
    """Answers what it is given."""

    def __init__(self, told: dict[str, object]) -> None:
        self._told = told

    def translate_text(self, **_: object) -> dict[str, object]:
        return self._told


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ({"TranslatedText": "고양이"}, ServiceAnswer(FailureKind.TRANSLATED, "고양이")),
        ({"TranslatedText": " \n"}, ServiceAnswer(FailureKind.FAILED, "the translation is empty")),
        (
            {"TranslatedText": "\ud800"},
            ServiceAnswer(FailureKind.FAILED, "the answer holds half a surrogate pair, which is not text"),
        ),
        # The page of a proxy, which came with 200: neither a bug of ours nor the end of the job.
        ({}, ServiceAnswer(FailureKind.UNANSWERED, "the answer holds no translation; is there a proxy on the way?")),
        (
            {"TranslatedText": None},
            ServiceAnswer(FailureKind.UNANSWERED, "the answer holds no translation; is there a proxy on the way?"),
        ),
    ],
)
def test_an_answer_is_a_translation_or_says_why_not(told: dict[str, object], answer: ServiceAnswer) -> None:
    assert AmazonService(AmazonBackend("en", "ko"), Client(told)).ask("a cat") == answer
