"""How properties are tested: with the same examples in every run, and without a clock.

`pytest --hypothesis-profile=explore` draws new ones. A deadline would judge the machine, and the first draw of a fresh
checkout, which makes Hypothesis' table of characters, takes longer than it allows.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.register_profile(
    "same",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    database=None,
    max_examples=50,
)
settings.load_profile("same")
