"""Blocks of neighbouring groups: the unit of work, and of what a kill can cost.

A block is judged by whoever has it, and its part is written whole; the tally of the part is written before it, so that
a part that is there has its tally.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crossrank import storage
from crossrank.filtering.flags import cleared
from crossrank.filtering.judge import Judge
from crossrank.filtering.tally import Tally, tally_of
from crossrank.formats.group_files import read_group_files
from crossrank.formats.groups_parquet import read_groups, write_groups
from crossrank.records import Group, Json, Reject, Rejected
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json, write_json

BLOCK_GROUPS = 1000
BLOCK_CHARACTERS = 8 << 20
"""Characters at which a block ends, unless it has all its groups before; a process holds one block in memory."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some groups, with their place in the input."""

    number: int
    first_row: int
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """The work on every block; small enough to be sent to each process."""

    layout: Layout
    judge: Judge | None
    """Judge of the groups; None takes off what an earlier filter added."""
    num_samples: int
    seed: int
    for_teacher: bool
    """Whether judged groups go on to a teacher, and not to the output yet."""


def blocks(uri: str, limit: int | None, block_groups: int, reject: Reject) -> Iterator[Block]:
    """Yield the groups at `uri` in blocks; what is no group is rejected. The same input gives the same blocks."""
    groups: list[Group] = []
    number = row = characters = 0
    for group in groups_of(uri, limit, reject):
        groups.append(group)
        characters += len(group.query) + sum(len(doc.title or "") + len(doc.text or "") for doc in group.docs)
        if len(groups) >= block_groups or characters >= BLOCK_CHARACTERS:
            yield Block(number, row, groups)
            number, row, characters = number + 1, row + len(groups), 0
            groups = []
    if groups:
        yield Block(number, row, groups)


def groups_of(uri: str, limit: int | None, reject: Reject) -> Iterator[Group]:
    """Yield the first `limit` groups at `uri`; nothing behind them is read."""
    for number, (_, _, group) in enumerate(read_group_files(uri, reject), start=1):
        yield group
        if number == limit:
            return


def tally_file(layout: Layout, number: int) -> str:
    """The file of a part's tally."""
    return storage.join(layout.output, "_checkpoint", f"tally-{number:05}.json")


def read_tally(layout: Layout, number: int) -> Tally:
    """The tally of a part."""
    return Tally.from_json(read_json(tally_file(layout, number)))


def read_block(layout: Layout, number: int) -> list[Group]:
    """The groups of a block that waits for the teacher."""
    return [group for _, group in read_groups(layout.block(number), _refuse)]


def _refuse(row: Rejected) -> None:
    raise AssertionError(f"crossrank wrote {row.source}, and row {row.line} is no group: {row.detail}")


def do_block(task: JudgeTask, block: Block) -> Json:
    """Judge a block, or take off what was judged before, and write it. Returns its figures."""
    groups: Iterable[Group]
    if task.judge is None:
        groups = [cleared(group) for group in block.groups]
    else:
        groups = [task.judge.judged(group) for group in block.groups]
    if task.for_teacher:
        write_groups(task.layout.block(block.number), groups)
    else:
        write_part(task, block.number, block.first_row, groups)
    return {
        "block": block.number,
        "groups": len(block.groups),
        "documents": sum(len(group.docs) for group in block.groups),
    }


def write_part(task: JudgeTask, number: int, first_row: int, groups: list[Group]) -> None:
    """Write a finished part and, before it, its tally."""
    tally = Tally() if task.judge is None else tally_of(first_row, groups, task.judge, task.num_samples, task.seed)
    write_json(tally_file(task.layout, number), tally.to_json())
    write_groups(task.layout.part(number), groups)
