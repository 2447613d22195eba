"""One writer at a time in an object store: a claim that its holder renews, and that a kill leaves to go stale.

An object store has no lock that ends with its process. A claim is an object that is written only where there is none,
or only over the one that was read. Its holder writes it anew every few seconds; whoever finds one watches it, by a
clock of its own: if it changes, its holder lives, and if it does not for long, its holder was killed.

Source: conditional writes of S3, https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from crossrank import storage
from crossrank.errors import JobFailed, OutputError, StorageError
from crossrank.outputs import LOCK
from crossrank.progress import Waiting, say

RENEW_S = 5.0
SILENT_S = 30.0
"""A claim that is not renewed for so long is of a job that was killed."""
LOOK_S = 1.0
CHANGED = {"PreconditionFailed", "ConditionalRequestConflict"}
UNKNOWN = {"NotImplemented", "MethodNotAllowed"}
"""What a store says that cannot write on a condition."""
GONE = {"404", "NoSuchKey", "NotFound"}


class _Found(NamedTuple):
    """A claim as it was read."""

    etag: str
    run: str
    holder: str


class Claim:
    """The right to write one folder of an object store."""

    def __init__(self, folder: str, flag: str) -> None:
        self._folder = folder
        self._flag = flag
        self._bucket, _, self._key = storage.join(folder, LOCK).removeprefix("s3://").partition("/")
        self._run = uuid.uuid4().hex
        self._renewed = 0
        self._etag = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._is_lost = False
        self._client = self._made_client()

    def __enter__(self) -> Claim:
        storage.check_writable(storage.join(self._folder, LOCK))
        try:
            self._etag = self._taken()
        except _Unknown:
            say(f"{self._folder} cannot be written on a condition, so nothing keeps a second job from writing there")
            return self
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if not self._thread.is_alive():
            return
        self._thread.join()
        if not self._is_lost:
            with contextlib.suppress(StorageError):  # then it goes stale
                self._call("delete_object", IfMatch=self._etag)

    @property
    def is_lost(self) -> bool:
        """Whether another job took the folder over, since this one could not be heard of."""
        return self._is_lost

    def check(self) -> None:
        """Refuse to go on when the folder is another job's now."""
        if self._is_lost:
            raise JobFailed(
                f"another job writes {self._folder}, since this one could not reach it for {SILENT_S:g} s; what was "
                f"kept is there: run the same command again when the other has ended"
            )

    def _taken(self) -> str:
        while True:
            etag = self._put(IfNoneMatch="*")
            if etag is not None:
                return etag
            found = self._look()
            if found is not None and found.run == self._run:  # ours, and the answer was lost
                return found.etag
            if found is None or not self._is_silent(found):
                continue
            etag = self._put(IfMatch=found.etag)
            if etag is not None:
                say(f"{found.holder} left its claim on {self._folder} {SILENT_S:g} s ago; going on in its place")
                return etag

    def _is_silent(self, found: _Found) -> bool:
        """Watch a claim. False where it went away meanwhile; refuses one that is renewed."""
        until = time.monotonic() + SILENT_S
        with Waiting(f"looking whether {found.holder} still writes {self._folder}"):
            while time.monotonic() < until:
                time.sleep(LOOK_S)
                now = self._look()
                if now is None:
                    return False
                if now.etag != found.etag:
                    raise OutputError(
                        f"another job ({now.holder}) is at work on {self._folder}; wait for its end, or name another "
                        f"{self._flag}"
                    )
        return True

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            with contextlib.suppress(StorageError):  # tried again; who took over meanwhile is noticed then
                etag = self._put(IfMatch=self._etag)
                if etag is None:
                    found = self._look()
                    if found is None or found.run != self._run:
                        self._is_lost = True
                        return
                    etag = found.etag
                self._etag = etag

    def _put(self, **condition: str) -> str | None:
        """Write the claim. Returns its tag; None where the condition does not hold."""
        self._renewed += 1
        said = {"run": self._run, "renewed": self._renewed, "holder": f"process {os.getpid()} of {os.uname().nodename}"}
        told = self._call("put_object", Body=json.dumps(said).encode(), **condition)
        return None if told is None else str(told["ETag"])

    def _look(self) -> _Found | None:
        told = self._call("get_object")
        if told is None:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError):
            said = json.loads(told["Body"].read())
            return _Found(str(told["ETag"]), str(said["run"]), str(said["holder"]))
        return _Found(str(told["ETag"]), "", "a job")

    def _call(self, name: str, **more: Any) -> Any:
        """One request; None where there is no such object, or its condition does not hold."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, name)(Bucket=self._bucket, Key=self._key, **more)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in CHANGED | GONE:
                return None
            if code in UNKNOWN:
                raise _Unknown from error
            raise StorageError(f"cannot claim {self._folder}: {' '.join(str(error).split())[:200]}") from error
        except BotoCoreError as error:
            raise StorageError(f"cannot claim {self._folder}: {' '.join(str(error).split())[:200]}") from error

    @staticmethod
    def _made_client() -> Any:
        import boto3
        from botocore.config import Config

        times = {"connect_timeout": storage.S3_CONNECT_TIMEOUT_S, "read_timeout": storage.S3_SILENCE_S}
        return boto3.session.Session().client("s3", config=Config(retries={"mode": "standard"}, **times))


class _Unknown(Exception):
    """The store does not know conditions. Never leaves this file."""


@contextmanager
def claimed(folder: str, flag: str) -> Iterator[Claim | None]:
    """Be the only job that writes this folder of an object store; None where nothing can see to that.

    Raises:
        OutputError: another job is at work there.
        StorageError: the folder cannot be reached or written.
    """
    try:
        claim = Claim(folder, flag)
    except ImportError:
        say(f"without boto3 nothing keeps a second job from writing {folder}; pip install 'crossrank[amazon]'")
        yield None
        return
    with claim:
        yield claim
