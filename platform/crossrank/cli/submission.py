"""The flags of `crossrank submit` and `crossrank jobs`."""

from __future__ import annotations

import sys
from difflib import get_close_matches

import click

from crossrank.cluster.submission import verbs
from crossrank.config.usage import OneOf
from crossrank.verbs import VERBS

SUBMITTED = (*VERBS, "recipe", "convert")
"""Verbs that a cluster may run; a server is deployed by `serve deploy`."""
OWN_FLAGS = ("--address", "--detach")
ADDRESS = click.option(
    "--address",
    envvar="RAY_API_SERVER_ADDRESS",
    metavar="URL",
    help="Job server of the cluster, such as http://HEAD:8265; default RAY_API_SERVER_ADDRESS.",
)


class _Submit(click.Command):
    """Command that answers an unknown flag, which was meant for the verb, with where it belongs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)  # click takes away what it has read
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = error.option_name
            if get_close_matches(flag, OWN_FLAGS, cutoff=0.7):
                raise  # click names the one that was meant
            verb = next((arg for arg in given if arg in SUBMITTED), "VERB")
            raise click.UsageError(
                f"submit has no flag {flag}; the flags of the verb stand behind --, as in crossrank submit {verb} -- "
                f"{flag} ...",
                ctx,
            ) from error


@click.command("submit", cls=_Submit, help=verbs.submit.__doc__)
@click.argument("verb", type=OneOf(SUBMITTED), metavar="VERB")
@ADDRESS
@click.option("--detach", is_flag=True, help="Return at once, and leave the job to the cluster.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="-- FLAGS...")
def submit(verb: str, address: str | None, detach: bool, flags: tuple[str, ...]) -> None:
    """See `verbs.submit`."""
    sys.exit(verbs.submit(verb, flags, address, detach))


@click.group()
def jobs() -> None:
    """Jobs of a cluster: how one is, what it says, and its end."""


@jobs.command("status", help=verbs.status.__doc__)
@click.argument("job")
@ADDRESS
def _status(job: str, address: str | None) -> None:
    """See `verbs.status`."""
    sys.exit(verbs.status(job, address))


@jobs.command("logs", help=verbs.logs.__doc__)
@click.argument("job")
@click.option("--follow", is_flag=True, help="Go on until the job ends.")
@ADDRESS
def _logs(job: str, follow: bool, address: str | None) -> None:
    """See `verbs.logs`."""
    sys.exit(verbs.logs(job, address, follow))


@jobs.command("stop", help=verbs.stop.__doc__)
@click.argument("job")
@ADDRESS
def _stop(job: str, address: str | None) -> None:
    """See `verbs.stop`."""
    sys.exit(verbs.stop(job, address))
