"""The verb and the job that this process works for, which all of its lines and metrics name.

Workers get both from their driver, with the variables of its environment that they need.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

LOG = "CROSSRANK_LOG"
"""Environment variable: ``json`` or ``plain``. No flag, since workers, replicas and submitted jobs inherit it."""
VERB, JOB = "CROSSRANK_VERB", "CROSSRANK_JOB"
CACHE = "CROSSRANK_CACHE"
"""Environment variable: the folder of the cache."""
OF_S3 = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
"""Environment variables that say where s3:// is."""
SUBMISSION = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable in which Ray gives a submitted job its id, among other things."""


@dataclass(slots=True)
class _Context:
    verb: str | None = None
    job: str | None = None
    said: set[str] = field(default_factory=set)


_context = _Context()


def verb() -> str | None:
    """The verb that runs; None in a program that is not crossrank's."""
    return _context.verb


def set_verb(name: str | None) -> None:
    """Set the verb that lines and metrics name from now on."""
    _context.verb = name
    _context.said.clear()


def is_new(about: str) -> bool:
    """Whether the running verb has said nothing about this yet; marks it as said."""
    is_new = about not in _context.said
    _context.said.add(about)
    return is_new


def job() -> str | None:
    """The id of the job that Ray knows: that of its submission, else the one that it gave to the driver."""
    return _submission_id() or _context.job


def set_job(name: str) -> None:
    """Set the id that Ray gave to the job of this process."""
    _context.job = name


def _submission_id() -> str | None:
    """The id of a submitted job; None for one that nobody submitted, and in its workers."""
    config = os.environ.get(SUBMISSION)
    if config is None:
        return None
    found: str | None = (json.loads(config).get("metadata") or {}).get("job_submission_id")
    return found


def environment() -> dict[str, str]:
    """The variables of this process that workers need, with its verb and its job; credentials are not among them."""
    given = {name: os.environ.get(name) for name in (CACHE, *OF_S3, LOG)} | {VERB: verb(), JOB: job()}
    return {name: value for name, value in given.items() if value is not None}


def work_for(driver: Mapping[str, str]) -> None:
    """Make this process a worker of the driver with that `environment`."""
    os.environ.update({name: value for name, value in driver.items() if name not in (VERB, JOB)})
    _context.verb, _context.job = driver.get(VERB), driver.get(JOB)
