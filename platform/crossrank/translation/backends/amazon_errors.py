"""What boto3 raises, as the kind of answer that it is: too fast, not now, not this text, or nobody here.

The codes are those of the service model of botocore 1.44 and of AWS's common errors.
"""

from __future__ import annotations

from crossrank.errors import in_short, kind_of
from crossrank.translation.service import Answer, Kind

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
"""From here on the refusal of a signature repeats what was signed, a session token among it."""
PERMISSION = {"AccessDeniedException", "AccessDenied", "OptInRequired", "SubscriptionRequiredException"}


def answer_of(error: Exception, source: str, target: str) -> Answer:
    """The kind of an error, with a sentence."""
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

    told = in_short(error)
    if isinstance(error, ClientError):
        return _of_code(error, source, target)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Answer(Kind.REFUSED, no_credentials())
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return Answer(Kind.UNREACHABLE, f"Amazon Translate cannot be reached ({told})")
    if isinstance(error, ParamValidationError):
        return Answer(Kind.FAILED, told)
    if isinstance(error, ReadTimeoutError | ConnectionClosedError | HTTPClientError | ResponseParserError):
        return Answer(Kind.UNANSWERED, f"Amazon Translate did not answer ({told})")
    return Answer(Kind.REFUSED, f"Amazon Translate cannot be asked ({kind_of(error)}: {told})")


def no_credentials() -> str:
    """The sentence for a machine without any."""
    return (
        "Amazon Translate needs AWS credentials, and there are none; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or a profile"
    )


def _of_code(error: Exception, source: str, target: str) -> Answer:
    response = getattr(error, "response", {})
    code = str(response.get("Error", {}).get("Code", ""))
    told = str(response.get("Error", {}).get("Message") or code).split(CANONICAL)[0]
    told = in_short(told)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLED or status == 429:
        return Answer(Kind.THROTTLED, told)
    if code in EXPIRED:
        return Answer(Kind.REFUSED, f"the AWS credentials have expired ({told}); renew them")
    if code in CREDENTIALS:
        return Answer(Kind.REFUSED, f"AWS does not know these credentials ({told}); check the keys and the clock")
    if code in PERMISSION:
        return Answer(
            Kind.REFUSED,
            f"these credentials may not use Amazon Translate ({told}); allow translate:TranslateText",
        )
    if code == "UnsupportedLanguagePairException":
        return Answer(
            Kind.REFUSED,
            f"Amazon Translate does not translate from --source {source} to --target {target} ({told}); name others",
        )
    if code == "ResourceNotFoundException":
        return Answer(Kind.REFUSED, f"Amazon Translate does not find what was named ({told}); check --terminology")
    if code in OF_THIS_TEXT:
        return Answer(Kind.FAILED, f"{code}: {told}")
    if code in BUSY or status >= 500:
        return Answer(Kind.BUSY, f"{code or status}: {told}")
    return Answer(Kind.REFUSED, f"Amazon Translate refuses ({code or status}: {told})")
