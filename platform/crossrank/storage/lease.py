"""One writer at a time in an object store: a claim that its holder renews, and that a kill leaves to go stale.

An object store has no lock that ends with its process. A claim is an object that is written only where there is none,
or only over the one that was read. Its holder writes it anew every few seconds; whoever finds one watches it, by a
clock of its own: if it changes, its holder lives, and if it does not for long, its holder was killed. A holder that
was a process of this machine need not be waited for: it is there, or it is not.

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
from crossrank.errors import JobFailed, OutputError, StorageError, in_short
from crossrank.storage import files, process_identity
from crossrank.storage.failures import DENIED_CODES, denied
from crossrank.storage.process_identity import ProcessIdentity
from crossrank.telemetry.progress import Waiting, say

LOCK = "_lock"
"""Name of the claim, and of the lock of a folder on a disk."""
RENEW_S = 5.0
SILENT_S = 30.0
"""Seconds after which a claim that was not renewed is that of a killed job."""
LOOK_S = 1.0
TRIES = 5
"""Attempts at each request."""
CHANGED = {"PreconditionFailed", "ConditionalRequestConflict"}
UNKNOWN = {"NotImplemented", "MethodNotAllowed"}
"""Codes of a store that cannot write on a condition."""
GONE = {"404", "NoSuchKey", "NotFound"}


class Lease:
    """The right to write a folder, for as long as a job is at work. On a disk nobody takes it away."""

    @property
    def is_lost(self) -> bool:
        """Whether another job took the folder over, since this one did not renew its lease."""
        return False

    def check(self) -> None:
        """Refuse to go on when the folder is another job's now."""


class _ReadClaim(NamedTuple):
    """A claim as it was read."""

    etag: str
    run: str
    holder: str
    process: ProcessIdentity | None


class Claim(Lease):
    """The right to write one folder of an object store."""

    def __init__(self, folder: str, flag: str) -> None:
        self._folder = folder
        self._flag = flag
        self._bucket, _, self._key = storage.join(folder, LOCK).removeprefix("s3://").partition("/")
        self._run = uuid.uuid4().hex
        self._renewed = 0
        self._etag = ""
        self._heard = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_renewing, daemon=True)
        self._renewing = threading.Lock()
        self._is_held = False
        self._is_lost = False
        self._client = self._made_client()

    def __enter__(self) -> Claim:
        storage.check_writable(storage.join(self._folder, LOCK))
        self._heard = _now()
        try:
            self._etag = self._taken()
        except _NoConditions:
            say(f"{self._folder} cannot be written on a condition, so nothing keeps a second job from writing there")
            return self
        self._is_held = True
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_held:
            return
        self._ended.set()
        self._thread.join()
        if not self._is_lost:
            with contextlib.suppress(StorageError):  # then it goes stale
                try:
                    self._call("delete_object", IfMatch=self._etag)
                except _NoConditions:  # a store may know conditions of writing alone
                    self._call("delete_object")

    @property
    def is_lost(self) -> bool:
        return self._is_lost

    def check(self) -> None:
        """Refuse to go on when the folder is another job's now.

        A holder that could not renew its claim for so long that another may have it asks first.
        """
        if self._is_held and _now() - self._heard > SILENT_S:
            try:
                self._renew()
            except StorageError as error:
                raise JobFailed(f"{error}; what was kept is there: run the same command again") from error
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
            if found is None:
                continue
            if found.run == self._run:  # ours, and the answer was lost
                return found.etag
            if found.process is not None and process_identity.has_ended(found.process):
                how = f"{found.holder} was killed and left its claim on {self._folder}"
            elif self._is_silent(found):
                how = f"{found.holder} left its claim on {self._folder} {SILENT_S:g} s ago"
            else:
                continue
            etag = self._put(IfMatch=found.etag)
            if etag is not None:
                say(f"{how}; going on in its place")
                return etag

    def _is_silent(self, found: _ReadClaim) -> bool:
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

    def _keep_renewing(self) -> None:
        while not self._ended.wait(RENEW_S) and not self._is_lost:
            with contextlib.suppress(StorageError):  # tried again; who took over meanwhile is noticed then
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            asked = _now()
            try:
                etag = self._put(IfMatch=self._etag)
            except _NoConditions:  # then nobody else can take it over either
                etag = self._etag
            if etag is None:
                found = self._look()
                if found is None or found.run != self._run:
                    self._is_lost = True
                    return
                etag = found.etag
            self._etag, self._heard = etag, asked

    def _put(self, **condition: str) -> str | None:
        """Write the claim. Returns its tag; None where the condition does not hold."""
        self._renewed += 1
        process = process_identity.own()
        claim = {
            "run": self._run,
            "renewed": self._renewed,
            "holder": f"process {os.getpid()} of {os.uname().nodename}",
            "process": None if process is None else process._asdict(),
        }
        response = self._call("put_object", Body=json.dumps(claim).encode(), **condition)
        return None if response is None else str(response["ETag"])

    def _look(self) -> _ReadClaim | None:
        read = self._read()
        if read is None:
            return None
        etag, content = read
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            claim = json.loads(content)
            process = claim.get("process")
            identity = (
                ProcessIdentity(str(process["kernel"]), int(process["pid"]), int(process["began"])) if process else None
            )
            return _ReadClaim(etag, str(claim["run"]), str(claim["holder"]), identity)
        return _ReadClaim(etag, "", "a job", None)

    def _read(self) -> tuple[str, bytes] | None:
        """Read the claim with its tag, again where the response breaks off: the client does not retry that."""
        from botocore.exceptions import BotoCoreError

        for tries_left in reversed(range(TRIES)):
            response = self._call("get_object")
            if response is None:
                return None
            try:
                return str(response["ETag"]), response["Body"].read()
            except BotoCoreError as error:
                if not tries_left:
                    raise StorageError(f"cannot claim {self._folder}: {in_short(error)}") from error
        raise AssertionError("the last try returns or raises")

    def _call(self, name: str, **more: Any) -> Any:
        """Send one request; None where there is no such object, or its condition does not hold."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, name)(Bucket=self._bucket, Key=self._key, **more)
        except (ClientError, BotoCoreError) as error:
            code = str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
            if code in CHANGED | GONE:
                return None
            if code in UNKNOWN:
                raise _NoConditions from error
            if code in DENIED_CODES:
                raise denied(self._folder) from error
            raise StorageError(f"cannot claim {self._folder}: {in_short(error)}") from error

    @staticmethod
    def _made_client() -> Any:
        import boto3
        from botocore.config import Config

        retries = {"mode": "standard", "total_max_attempts": TRIES}
        times = {"connect_timeout": files.S3_CONNECT_TIMEOUT_S, "read_timeout": files.S3_SILENCE_S}
        return boto3.session.Session().client("s3", config=Config(retries=retries, **times))


class _NoConditions(Exception):
    """The store does not know conditions. Never leaves this file."""


def _now() -> float:
    """Seconds of a clock that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def leased(folder: str, flag: str) -> Iterator[Lease]:
    """Hold the right to write a folder of an object store alone, where the store can write on a condition.

    Raises:
        OutputError: another job is at work there.
        StorageError: the folder cannot be reached or written.
    """
    with Claim(folder, flag) as claim:
        yield claim
