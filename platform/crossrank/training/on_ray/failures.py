"""What Ray raises, as one sentence of ours."""

from __future__ import annotations

from crossrank.errors import CrossrankError, JobFailed


def ours(error: BaseException, what: str) -> CrossrankError:
    """The crossrank error behind what Ray raised, or one sentence about what else went wrong."""
    cause = getattr(error, "cause", None) or error
    failures = getattr(error, "worker_failures", None)  # by rank, where Ray Train gave up
    if failures:
        cause = next(iter(failures.values()))
        cause = getattr(cause, "cause", None) or cause
    if isinstance(cause, CrossrankError):
        return cause
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()][-1:]
    return JobFailed(
        f"{what} failed: {': '.join([type(cause).__name__, *lines])[:300]}; checkpoints are kept, so mend the cause "
        f"and run the same command again"
    )
