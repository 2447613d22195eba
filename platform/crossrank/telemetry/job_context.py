"""What this process works for, the verb and the job, so that all that it says and counts names them.

Workers get both from their driver, beside the variables of its environment that they need.
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
"""Where Ray tells a submitted job its own id, among others."""


@dataclass(slots=True)
class _Here:
    verb: str | None = None
    job: str | None = None
    said: set[str] = field(default_factory=set)


_here = _Here()


def verb() -> str | None:
    """The verb that is done; None in a program of somebody else."""
    return _here.verb


def set_verb(name: str | None) -> None:
    """All that is said and counted from now on is of this verb."""
    _here.verb = name
    _here.said.clear()


def is_new(about: str) -> bool:
    """Whether the verb that is done has said nothing about this; from now on it has."""
    is_new = about not in _here.said
    _here.said.add(about)
    return is_new


def job() -> str | None:
    """The id of the job that Ray knows: that of its submission, else the one that it gave to the driver."""
    return _submission_id() or _here.job


def set_job(name: str) -> None:
    """Ray calls the job of this process so."""
    _here.job = name


def _submission_id() -> str | None:
    """The id of a submitted job; None for one that nobody submitted, and in its workers."""
    config = os.environ.get(SUBMISSION)
    if config is None:
        return None
    found: str | None = (json.loads(config).get("metadata") or {}).get("job_submission_id")
    return found


def environment() -> dict[str, str]:
    """What workers need of this process's environment, with its verb and its job; credentials stay where they are."""
    given = {name: os.environ.get(name) for name in (CACHE, *OF_S3, LOG)} | {VERB: verb(), JOB: job()}
    return {name: value for name, value in given.items() if value is not None}


def work_for(driver: Mapping[str, str]) -> None:
    """Be a worker of the driver whose `environment` this is."""
    os.environ.update({name: value for name, value in driver.items() if name not in (VERB, JOB)})
    _here.verb, _here.job = driver.get(VERB), driver.get(JOB)
