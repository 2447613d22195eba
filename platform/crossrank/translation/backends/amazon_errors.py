"""The exceptions of boto3, sorted into kinds of failure: too fast, not now, not this text, or no access.

The codes are those of the service model of botocore 1.44 and of AWS's common errors.
"""

from __future__ import annotations

from crossrank.errors import in_short, kind_of
from crossrank.translation.service import FailureKind, ServiceAnswer

THROTTLED = {
    "TooManyRequestsException",
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestLimitExceeded",
    "LimitExceededException",
    "SlowDown",
}
BUSY = {"InternalServerException", "InternalFailure", "ServiceUnavailableException", "ServiceUnavailable"}
OF_THIS_TEXT = {
    "InvalidRequestException",
    "TextSizeLimitExceededException",
    "DetectedLanguageLowConfidenceException",
    "ValidationException",
}
EXPIRED = {"ExpiredTokenException", "ExpiredToken", "RequestExpired"}
CREDENTIALS = {
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "InvalidClientTokenId",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "NotAuthorized",
}
CANONICAL = "The Canonical String"
"""Start of the part of a signature's refusal that repeats what was signed, with the session token; it is cut off."""
PERMISSION = {"AccessDeniedException", "AccessDenied", "OptInRequired", "SubscriptionRequiredException"}


def answer_of(error: Exception, source: str, target: str) -> ServiceAnswer:
    """The kind of failure that an error is, with a sentence for the user."""
    from botocore.exceptions import (
        ClientError,
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        HTTPClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
        ReadTimeoutError,
    )
    from botocore.parsers import ResponseParserError

    message = in_short(error)
    if isinstance(error, ClientError):
        return _of_code(error, source, target)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ServiceAnswer(FailureKind.REFUSED, no_credentials())
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return ServiceAnswer(FailureKind.UNREACHABLE, f"Amazon Translate cannot be reached ({message})")
    if isinstance(error, ParamValidationError):
        return ServiceAnswer(FailureKind.FAILED, message)
    if isinstance(error, ReadTimeoutError | ConnectionClosedError | HTTPClientError | ResponseParserError):
        return ServiceAnswer(FailureKind.UNANSWERED, f"Amazon Translate did not answer ({message})")
    return ServiceAnswer(FailureKind.REFUSED, f"Amazon Translate cannot be asked ({kind_of(error)}: {message})")


def no_credentials() -> str:
    """The refusal of a machine that has no AWS credentials."""
    return (
        "Amazon Translate needs AWS credentials, and there are none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or a profile"
    )


def _of_code(error: Exception, source: str, target: str) -> ServiceAnswer:
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    message = str(response.get("Error", {}).get("Message") or code).split(CANONICAL)[0]
    message = in_short(message)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLED or status == 429:
        return ServiceAnswer(FailureKind.THROTTLED, message)
    if code in EXPIRED:
        return ServiceAnswer(FailureKind.REFUSED, f"the AWS credentials have expired ({message}); renew them")
    if code in CREDENTIALS:
        return ServiceAnswer(
            FailureKind.REFUSED, f"AWS does not know these credentials ({message}); check the keys and the clock"
        )
    if code in PERMISSION:
        return ServiceAnswer(
            FailureKind.REFUSED,
            f"these credentials may not use Amazon Translate ({message}); allow translate:TranslateText",
        )
    if code == "UnsupportedLanguagePairException":
        return ServiceAnswer(
            FailureKind.REFUSED,
            f"Amazon Translate does not translate from --source {source} to --target {target} ({message}); name others",
        )
    if code == "ResourceNotFoundException":
        return ServiceAnswer(
            FailureKind.REFUSED, f"Amazon Translate does not find what was named ({message}); check --terminology"
        )
    if code in OF_THIS_TEXT:
        return ServiceAnswer(FailureKind.FAILED, f"{code}: {message}")
    if code in BUSY or status >= 500:
        return ServiceAnswer(FailureKind.BUSY, f"{code or status}: {message}")
    return ServiceAnswer(FailureKind.REFUSED, f"Amazon Translate refuses ({code or status}: {message})")
