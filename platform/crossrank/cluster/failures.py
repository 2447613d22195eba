"""What Ray raises, as one sentence of ours."""

from __future__ import annotations

from crossrank.errors import CrossrankError, JobFailed


def ours(error: BaseException, what: str, kept: str) -> CrossrankError:
    """The crossrank error behind what Ray raised, or one sentence about what else went wrong.

    Args:
        what: that failed, such as ``a worker``.
        kept: what the job goes on with, such as ``finished blocks are kept``.
    """
    by_rank = getattr(error, "worker_failures", None)  # where Ray Train gave up
    cause = next(iter(by_rank.values())) if by_rank else error
    cause = getattr(cause, "cause", None) or cause  # Ray wraps what a task raises
    if isinstance(cause, CrossrankError):
        return cause
    last = [line.strip() for line in str(cause).splitlines() if line.strip()][-1:]
    return JobFailed(
        f"{what} failed: {': '.join([type(cause).__name__, *last])[:300]}; {kept}, so mend the cause and run the same "
        f"command again"
    )
