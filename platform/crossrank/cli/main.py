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
from crossrank.cluster.submission.commands import jobs, submit
from crossrank.config.usage import OneOf, sentence_of
from crossrank.demo.run import DemoSettings, demo
from crossrank.errors import CrossrankError, exit_status, printable, unwritten
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.job import filter as filter_translations
from crossrank.filtering.settings import FilterSettings
from crossrank.formats import FORMATS
from crossrank.formats.conversion import convert_telling
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings
from crossrank.recipe.run import recipe
from crossrank.recipe.stage import Job
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.score_file import ScoreSettings, score
from crossrank.serving.launch import serve
from crossrank.serving.settings import ServeSettings
from crossrank.telemetry import log_format
from crossrank.telemetry.progress import say_next
from crossrank.training.job import train
from crossrank.training.merge import MergeSettings, merge
from crossrank.training.settings import TrainSettings
from crossrank.translation.job import translate
from crossrank.translation.memory.tsv import ExportSettings, ImportSettings, export_memory, import_memory
from crossrank.translation.settings import TranslateSettings
from crossrank.version import __version__

READ = [name for name, form in FORMATS.items() if form.reads_groups]
WRITTEN = [name for name, form in FORMATS.items() if form.writes_groups]
EXIT_FAILED = 1
EXIT_USER_ERROR = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="crossrank")
def crossrank() -> None:
    """Train, run and serve cross-encoder rerankers on Ray."""


crossrank.add_command(command(RerankSettings, rerank))
crossrank.add_command(command(ScoreSettings, score))
crossrank.add_command(command(TranslateSettings, translate))
crossrank.add_command(command(MineSettings, mine))
crossrank.add_command(command(FilterSettings, filter_translations))
crossrank.add_command(command(TrainSettings, train))
crossrank.add_command(command(MergeSettings, merge))
crossrank.add_command(command(EvaluateSettings, evaluate))
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

    A row that OUT cannot hold is told with its reason, and left out.
    """
    counts = convert_telling(source_format, target_format, source, target)
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
        settings_of = {stage.name: stage.settings for stage in stages if isinstance(stage, Job)}
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


def run(verb: click.Command, arguments: list[str] | None = None) -> None:
    """Run one command as a program. What the user did wrong is one sentence on standard error, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is claimed is let go
    _open_streams()
    typed = sys.argv[1:] if arguments is None else arguments
    try:
        log_format.check_kind()
        log_format.set_up()
        for argument in typed:
            storage.refuse_keys(argument)  # before click, which repeats what it does not understand
        verb.main(args=arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_USER_ERROR)
    except click.ClickException as error:
        _tell(sentence_of(error, typed))
        sys.exit(EXIT_USER_ERROR)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _tell("stopped before its end; run the same command again")
        sys.exit(EXIT_FAILED)
    except CrossrankError as error:
        _tell(str(error))
        sys.exit(exit_status(error))
    except ModuleNotFoundError as error:
        package = (error.name or "crossrank").partition(".")[0]
        if package == "crossrank":
            raise
        _tell(f"{package} is not installed, and crossrank needs it; install crossrank again, which brings it")
        sys.exit(EXIT_USER_ERROR)
    except BrokenPipeError:  # whoever read our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = error.filename or f"standard output or the cache {storage.cache_folder()}"
        _tell(f"{unwritten(error)}, while using {where}")
        sys.exit(EXIT_FAILED)


def _open_streams() -> None:
    """Open what was closed (``2>&-``), or the next file to be opened would get its number and what is said with it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _tell(what: str) -> None:
    print(
        log_format.as_json(what, "error") if log_format.is_json() else f"crossrank: {printable(what)}", file=sys.stderr
    )
