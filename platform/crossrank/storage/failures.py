"""Errors of pyarrow and the operating system about a file, as one sentence about its URI.

Arrow gives a text alone, so that the kind of an object store's error has to be recognised in it.
"""

from __future__ import annotations

from crossrank.errors import InputError, OutputError, StorageError, in_short, unwritten

DENIED = (
    "ACCESS_DENIED",
    "HTTP status 403",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "ExpiredToken",
    "InvalidToken",
)
"""Signs in Arrow's text that S3 does not know a key, or does not permit it."""
DENIED_CODES = {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "403"}
"""S3's own codes for the same errors."""


class Passing(StorageError):
    """An error of an object store that may be gone a moment later."""


def storage_error(
    uri: str, action: str, error: Exception, error_class: type[InputError] | type[OutputError]
) -> InputError | OutputError | StorageError:
    """The sentence about an error.

    Args:
        action: what was tried, such as ``read``.
        error_class: class of the sentence where the store itself works.
    """
    text = str(error)
    if "Truncated compressed stream" in text:
        return error_class(f"cannot {action} {uri}: it ends before what gzip packed does; fetch or write it again")
    if "inflate failed" in text:
        return error_class(f"cannot {action} {uri}: it is named as packed by gzip and is not, or is damaged; rename it")
    if not uri.startswith("s3://"):
        if isinstance(error, PermissionError):
            return error_class(f"cannot {action} {uri}: permission denied; ask its owner, or name another")
        return error_class(f"cannot {action} {uri}: {unwritten(error)}")
    if "NO_SUCH_BUCKET" in text or "NoSuchBucket" in text or "bucket does not exist" in text:
        return no_bucket(uri)
    if any(sign in text for sign in DENIED):
        return denied(uri)
    if "NETWORK_CONNECTION" in text or "curlCode" in text:
        return StorageError(f"{uri} cannot be reached; check AWS_ENDPOINT_URL and the network ({in_short(error, 160)})")
    return Passing(f"cannot {action} {uri}: {in_short(error, 240)}")


def denied(uri: str) -> StorageError:
    """The sentence about keys that are unknown, have run out, or may not."""
    return StorageError(f"access to {uri} is denied; check the AWS credentials and the bucket's policy")


def bucket(uri: str) -> str:
    """The bucket that an ``s3://`` URI names."""
    return uri.removeprefix("s3://").split("/")[0]


def no_bucket(uri: str) -> StorageError:
    """The sentence about a bucket that is not there."""
    return StorageError(f"the bucket {bucket(uri)} of {uri} does not exist; create it or name another")
