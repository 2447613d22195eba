"""Mine for one block of groups: the work of a worker, without anything of Ray in it.

Shape letters: Q groups of the block.
"""

from __future__ import annotations

import pyarrow as pa

from crossrank.formats.group_rows import group_of, row_of
from crossrank.mining.group_search import GroupMining, Rules
from crossrank.mining.layout import DROPPED_SCHEMA, PART_SCHEMA
from crossrank.mining.passages import Passages
from crossrank.mining.teacher_scores import TeacherRounds
from crossrank.records import dump_meta
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.dense import Hits
from crossrank.scoring.interfaces import Scorer


def mine_block(
    block: pa.Table, passages: Passages, bm25: Bm25Index, dense: Hits | None, teacher: Scorer | None, rules: Rules
) -> tuple[pa.Table, pa.Table]:
    """Mine for the groups of a block: the groups with their negatives, and the passages that were dropped.

    Args:
        dense: rows and scores that the dense first stage found for each group; None where there is no such stage.

    Returns:
        Tables of `PART_SCHEMA`, one row a group in its order, and of `DROPPED_SCHEMA`.
    """
    rows = block.to_pylist()
    groups = [group_of({name: row[name] for name in row if name not in ("row", "siblings")}) for row in rows]
    lexical = bm25.search([group.query for group in groups], rules.depth)
    searches = [
        GroupMining.begun(
            group, row["siblings"], {"bm25": lexical[q]} | ({"dense": dense[q]} if dense else {}), passages, rules
        )
        for q, (group, row) in enumerate(zip(groups, rows, strict=True))
    ]
    if teacher is None:
        for search in searches:
            search.take_unscored(rules.negatives)
    else:
        TeacherRounds(teacher, passages, rules).teach(searches)
    mined = [
        {"row": row["row"], **row_of(search.result(), dump_meta), "stats": search.figures()}
        for row, search in zip(rows, searches, strict=True)
    ]
    dropped = [passage for search in searches for passage in search.dropped]
    return pa.Table.from_pylist(mined, PART_SCHEMA), pa.Table.from_pylist(dropped, DROPPED_SCHEMA)
