"""Prepare a job: read its inputs, write the blocks, and keep the plan beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from crossrank import storage
from crossrank.corpus.store import TextStore, refuse_empty
from crossrank.mining.layout import MineLayout
from crossrank.mining.prepare import GroupsToMine
from crossrank.mining.settings import MineSettings
from crossrank.records import Reject, Rejected
from crossrank.resumable.layout import write_table
from crossrank.resumable.output import read_json, write_json
from crossrank.resumable.rejects import rejected_file
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.first_stage import language_of, open_bm25
from crossrank.retrieval.memory import available_memory_bytes
from crossrank.retrieval.vectors import VectorStore
from crossrank.telemetry.job_metrics import ROWS_READ
from crossrank.telemetry.progress import Progress, Waiting, say

LEAST_BLOCKS = 100
"""Blocks that a job has at least, as far as its groups allow: no block is over 1 % of the job."""
MOST_GROUPS = 256
MOST_TAUGHT_GROUPS = 64
"""Most groups of a block where a teacher scores: about two thousand pairs. Both are fixed, and not measured: which
texts are computed together decides the last bit of the results."""
SLICE_SHARE = 0.5
"""Share of the free memory that a slice of the vectors may take, so that it is read from disk once and not for every
block of queries."""

LARGER_DISK = "use --set embedding_dtype=float16, or --embeddings on a larger disk"


@dataclass(frozen=True, slots=True)
class MiningPlan:
    """The plan of a prepared job; kept in `_prepared/plan.json`, so that a resumed job need not prepare again."""

    rows_of_blocks: list[int]
    slices: list[tuple[int, int]]
    """Range of shards of each slice of the vectors, the end excluded; empty where there is no encoder."""
    language: str
    language_why: str
    counted: dict[str, Any]
    rejected: dict[str, dict[str, int]]
    """Rows that were set aside, by the file they came from and by reason."""
    groups_set_aside: int


def read_plan(layout: MineLayout) -> MiningPlan | None:
    """The plan of a job that is prepared; None for one that is not."""
    return MiningPlan(**read_json(layout.plan)) if storage.exists(layout.plan) else None


def read_groups(settings: MineSettings, corpus: TextStore) -> GroupsToMine:
    """Read the groups once. Refuses a corpus without a document, and what holds no group."""
    return GroupsToMine.read(
        storage.absolute(settings.groups), corpus, storage.absolute(settings.corpus), settings.limit
    )


def refuse_unusable(settings: MineSettings, corpus: TextStore) -> None:
    """Refuse inputs that nothing can be mined from or for, and a language that is not known.

    Looks no further than the first group that can be mined for.
    """
    refuse_empty(corpus, settings.corpus, "documents")
    analyser(language_of(corpus, settings.language).value)
    GroupsToMine(
        storage.absolute(settings.groups), corpus, storage.absolute(settings.corpus), settings.limit
    ).refuse_unusable()


def prepare(
    settings: MineSettings,
    corpus: TextStore,
    vectors: VectorStore | None,
    layout: MineLayout,
    begin: Callable[[], None],
) -> MiningPlan:
    """Index the corpus, read the groups and write the blocks; the plan is written last.

    Args:
        begin: called when all is judged, to write the manifest and remove what an earlier run left.

    Raises:
        CorpusTooLarge: BM25 needs more memory than there is, or the vectors more disk.
        InputError: nothing can be mined.
    """
    language = language_of(corpus, settings.language)
    say(f"BM25 in the language {language}")
    with Waiting("indexing the corpus for BM25"):
        open_bm25(corpus, language)
    slices = []
    if vectors is not None:
        missing = vectors.missing()
        vectors.refuse_too_large(len(missing), LARGER_DISK)
        slices = _slices(vectors)
        say(
            f"vectors of {len(corpus):,} passages take {vectors.num_bytes / 1e6:,.0f} MB in {vectors.folder}, "
            f"{vectors.num_shards - len(missing):,} of {vectors.num_shards:,} files are there"
        )
    counts: dict[str, Counter[str]] = {}
    with rejected_file(layout.rejected_file) as reject:

        def count(row: Rejected) -> None:
            counts.setdefault(row.source, Counter())[row.reason] += 1
            reject(row)

        with Waiting("reading the groups"):
            work = read_groups(settings, corpus)
        rows_of_blocks = _write_blocks(work, layout, settings.teacher is not None, count)
    counted = work.counted
    say(
        f"{sum(rows_of_blocks):,} groups with {counted.positives:,} positives, of which the corpus has "
        f"{counted.positives_in_corpus:,} under their ids"
    )
    begin()
    plan = MiningPlan(
        rows_of_blocks,
        slices,
        language.value,
        language.why,
        asdict(counted),
        {source: dict(reasons) for source, reasons in counts.items()},
        counted.groups_read - sum(rows_of_blocks),
    )
    write_json(layout.plan, asdict(plan))
    ROWS_READ.add(counted.groups_read)
    return plan


def groups_per_block(num_groups: int, has_teacher: bool) -> int:
    """The number of groups in a block, from the number of all groups alone."""
    return max(1, min(num_groups // LEAST_BLOCKS, MOST_TAUGHT_GROUPS if has_teacher else MOST_GROUPS))


def _write_blocks(work: GroupsToMine, layout: MineLayout, has_teacher: bool, reject: Reject) -> list[int]:
    size = groups_per_block(work.num_groups, has_teacher)
    rows_of_blocks: list[int] = []
    with Progress("groups prepared", None) as progress:
        for number, block in enumerate(work.blocks(size, reject)):
            write_table(layout.block(number), block)
            rows_of_blocks.append(len(block))
            progress.advance(len(block))
    return rows_of_blocks


def _slices(vectors: VectorStore) -> list[tuple[int, int]]:
    """Shards of neighbouring rows, each slice of a size that memory holds."""
    num_slices = max(1, -(-vectors.num_bytes // max(int(available_memory_bytes() * SLICE_SHARE), 1)))
    size = -(-vectors.num_shards // num_slices)
    return [(start, min(start + size, vectors.num_shards)) for start in range(0, vectors.num_shards, size)]
