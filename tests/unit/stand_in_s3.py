"""An object store in memory, with the part of boto3's client that claims ask: conditional writes, and refusals."""

from __future__ import annotations

import io
import itertools
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ResponseStreamingError


class _Broken:
    """The content of an answer whose connection closes in its middle."""

    def read(self) -> bytes:
        raise ResponseStreamingError(error="82 bytes read, 83 more expected")


class Store:
    """All buckets of a store."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.is_away = False
        self.knows_conditions = True
        self.has_expired = False
        self.broken_answers = 0
        """So many contents will break off in their middle."""
        self._tags = itertools.count()

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        self._answer(IfNoneMatch or IfMatch)
        there = self.objects.get((Bucket, Key))
        if IfNoneMatch == "*" and there is not None:
            raise _refused("PreconditionFailed")
        if IfMatch is not None:
            self._match(there, IfMatch)
        tag = f'"{next(self._tags)}"'
        self.objects[Bucket, Key] = (tag, Body)
        return {"ETag": tag}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        self._answer()
        if (Bucket, Key) not in self.objects:
            raise _refused("NoSuchKey")
        tag, body = self.objects[Bucket, Key]
        if self.broken_answers:
            self.broken_answers -= 1
            return {"ETag": tag, "Body": _Broken()}
        return {"ETag": tag, "Body": io.BytesIO(body)}

    def delete_object(self, Bucket: str, Key: str, IfMatch: str | None = None) -> None:
        self._answer(IfMatch)
        if IfMatch is not None:
            self._match(self.objects.get((Bucket, Key)), IfMatch)
        self.objects.pop((Bucket, Key), None)

    def _answer(self, condition: str | None = None) -> None:
        if self.is_away:
            raise EndpointConnectionError(endpoint_url="http://me:hunter2@away")
        if self.has_expired:
            raise _refused("ExpiredToken")
        if condition is not None and not self.knows_conditions:
            raise _refused("NotImplemented")

    @staticmethod
    def _match(there: tuple[str, bytes] | None, tag: str) -> None:
        if there is None:
            raise _refused("NoSuchKey")
        if there[0] != tag:
            raise _refused("PreconditionFailed")


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "of a stand-in")
