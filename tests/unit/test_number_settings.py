"""Numbers of flags and of configuration files: what no library takes is refused with the limit."""

from __future__ import annotations

import math
from typing import Any

import pytest

from crossrank.config.settings import from_mapping
from crossrank.errors import SettingsError
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.mining.settings import MineSettings
from crossrank.reranking.settings import RerankSettings
from crossrank.training.settings import TrainSettings

GIVEN: dict[type, dict[str, Any]] = {
    EvaluateSettings: {"groups": "g", "output": "o"},
    RerankSettings: {"model": "m", "groups": "g", "output": "o"},
    MineSettings: {"groups": "g", "corpus": "c", "output": "o"},
    TrainSettings: {"base": "b", "groups": "g", "output": "o"},
}


@pytest.mark.parametrize(
    ("verb", "key", "value", "told"),
    [
        (EvaluateSettings, "depth", 2**31, "depth in the flags is 2147483648; use a number up to 2147483647"),
        (EvaluateSettings, "limit", 10**20, "limit in the flags is 100000000000000000000; use a number up to"),
        (EvaluateSettings, "seed", -1, "seed is -1; use at least 0"),
        (EvaluateSettings, "seed", 2**63, f"seed in the flags is {2**63}; use a number up to {2**63 - 1}"),
        (EvaluateSettings, "resamples", 2**31 - 1, "resamples is 2147483647; use at most 10,000,000"),
        (EvaluateSettings, "timed_queries", -1, "timed_queries is -1; use at least 0"),
        (EvaluateSettings, "timeout_s", math.nan, "timeout_s in the flags is nan; use a finite number"),
        (EvaluateSettings, "timeout_s", 0, "timeout_s is 0; use a number of seconds above 0, up to 86,400"),
        (EvaluateSettings, "timeout_s", 1e300, "timeout_s is 1e+300; use a number of seconds above 0, up to 86,400"),
        (EvaluateSettings, "relevant_from", -1, "--relevant-from is -1; use a number above 0"),
        (EvaluateSettings, "gpus_per_worker", math.nan, "gpus_per_worker in the flags is nan; use a finite number"),
        (EvaluateSettings, "workers", str(10**20), f"--workers is '{10**20}'; use a number from 1"),
        (RerankSettings, "top_n", 2**40, "top_n in the flags is 1099511627776; use a number up to 2147483647"),
        (RerankSettings, "max_length", 2**31, "max_length in the flags is 2147483648; use a number up to"),
        (MineSettings, "negatives", 10**12, "negatives in the flags is 1000000000000; use a number up to"),
        (MineSettings, "relative_margin", math.inf, "relative_margin in the flags is inf; use a finite number"),
        (TrainSettings, "groups_per_step", 2**31, "groups_per_step in the flags is 2147483648; use a number up to"),
        (TrainSettings, "learning_rate", "nan", "learning_rate in the flags is nan; use a finite number"),
    ],
)
def test_a_number_that_nothing_takes_is_refused_with_its_limit(verb: type, key: str, value: Any, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_mapping(verb, GIVEN[verb] | {key: value}, "the flags").worker_range()
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("verb", "key", "value"),
    [(EvaluateSettings, "depth", 2**31 - 1), (EvaluateSettings, "seed", 2**63 - 1), (TrainSettings, "seed", 2**40)],
)
def test_the_largest_number_is_taken(verb: type, key: str, value: int) -> None:
    assert getattr(from_mapping(verb, GIVEN[verb] | {key: value}, "the flags"), key) == value
