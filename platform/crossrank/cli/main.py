"""The command line: one verb for each function, flags from its settings, errors as one sentence."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys

import click

from crossrank import storage
from crossrank.cli.next_command import after_conversion, after_recipe
from crossrank.cli.options import command
from crossrank.cli.status import status
from crossrank.cli.submission import jobs, submit
from crossrank.config.usage import OneOf, sentence_of
from crossrank.demo.run import DemoSettings, demo
from crossrank.errors import CrossrankError, exit_status, printable, unwritten
from crossrank.formats import FORMATS
from crossrank.formats.conversion import convert_and_report
from crossrank.recipe.run import recipe
from crossrank.recipe.stage import VerbStage
from crossrank.serving.launch import serve
from crossrank.serving.settings import ServeSettings
from crossrank.telemetry import log_format
from crossrank.telemetry.progress import say_next
from crossrank.translation.memory.tsv import ExportSettings, ImportSettings, export_memory, import_memory
from crossrank.verbs import VERBS
from crossrank.version import __version__

READ = [name for name, form in FORMATS.items() if form.reads_groups]
WRITTEN = [name for name, form in FORMATS.items() if form.writes_groups]
EXIT_FAILED = 1
EXIT_USER_ERROR = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crossrank")
def crossrank() -> None:
    """Train, run and serve cross-encoder rerankers on Ray."""


for verb in VERBS.values():
    crossrank.add_command(command(verb.settings, verb.run))
crossrank.add_command(command(ServeSettings, serve))
crossrank.add_command(command(DemoSettings, demo))


crossrank.add_command(submit)
crossrank.add_command(jobs)


@crossrank.group()
def memory() -> None:
    """The translation memory as a TSV file, and back."""


memory.add_command(command(ExportSettings, export_memory), "export")
memory.add_command(command(ImportSettings, import_memory), "import")


@crossrank.command("convert")
@click.option("--from", "source_format", required=True, type=OneOf(READ), help="Format of IN.")
@click.option("--to", "target_format", required=True, type=OneOf(WRITTEN), help="Format of OUT.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
def convert_command(source_format: str, target_format: str, source: str, target: str) -> None:
    """Read groups in one format and write them in another.

    A row that OUT cannot hold is reported with its reason and left out.
    """
    counts = convert_and_report(source_format, target_format, source, target)
    say_next("convert", after_conversion(source_format, target_format, source, target, counts.written))


@crossrank.command("recipe", help=recipe.__doc__.partition("Args:")[0] if recipe.__doc__ else None)
@click.argument("file", metavar="FILE")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A variable of FILE, its output, or STAGE.KEY such as train.seed=7; may be given several times.",
)
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option("--overwrite", metavar="STAGE", help="Start afresh from this stage on.")
@click.option("--dry-run", is_flag=True, help="Say what each stage would do, as far as it is known, and stop.")
def recipe_command(file: str, sets: tuple[str, ...], until: str | None, overwrite: str | None, dry_run: bool) -> None:
    """See `recipe`."""
    stages = recipe(file, sets, until=until, overwrite=overwrite, dry_run=dry_run)
    if dry_run or until is not None:
        words = ["crossrank", "recipe", file, *(word for assignment in sets for word in ("--set", assignment))]
        words += ["--until", until] if dry_run and until is not None else []
        say_next("recipe", shlex.join(words))
    else:
        settings_of = {stage.name: stage.settings for stage in stages if isinstance(stage, VerbStage)}
        say_next("recipe", after_recipe(settings_of))


@crossrank.command("status", help=status.__doc__)
@click.argument("output", metavar="OUTPUT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def status_command(output: str, as_json: bool) -> None:
    """See `status`."""
    status(output, as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 2 the input or the flags are wrong, 1 it failed."""
    run(crossrank, arguments)


def run(program: click.Command, arguments: list[str] | None = None) -> None:
    """Run one command as a program. What the user did wrong is one sentence on standard error, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, so that leases are released
    _open_streams()
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        log_format.check_kind()
        log_format.set_up()
        for argument in typed:
            storage.refuse_keys(argument)  # before click, which repeats what it does not understand
        program.main(args=arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USER_ERROR)
    except click.ClickException as error:
        _print_error(sentence_of(error, typed))
        sys.exit(EXIT_USER_ERROR)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _print_error("stopped before its end; run the same command again")
        sys.exit(EXIT_FAILED)
    except CrossrankError as error:
        _print_error(str(error))
        sys.exit(exit_status(error))
    except ModuleNotFoundError as error:
        package = (error.name or "crossrank").partition(".")[0]
        if package == "crossrank":
            raise
        _print_error(f"{package} is not installed, and crossrank needs it; install crossrank again, which brings it")
        sys.exit(EXIT_USER_ERROR)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or f"standard output or the cache {storage.cache_folder()}"
        _print_error(f"{unwritten(error)}, while using {where}")
        sys.exit(EXIT_FAILED)


def _open_streams() -> None:
    """Open standard streams that were closed (``2>&-``): the next file opened would get their number and lines."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _print_error(sentence: str) -> None:
    line = log_format.as_json(sentence, "error") if log_format.is_json() else f"crossrank: {printable(sentence)}"
    print(line, file=sys.stderr)
