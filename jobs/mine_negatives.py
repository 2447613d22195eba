"""Add hard negatives to labelled groups: what BM25 and an encoder find, less what probably answers the query.

    ray job submit --runtime-env jobs/runtime_env.yaml -- \\
        python jobs/mine_negatives.py --groups s3://bucket/groups/ --corpus s3://bucket/corpus.jsonl \\
        --encoder BAAI/bge-m3 --teacher BAAI/bge-reranker-v2-m3 --embeddings s3://bucket/embeddings \\
        --output s3://bucket/mined

    python jobs/mine_negatives.py --groups groups.jsonl --corpus c.jsonl --output mined      # laptop, BM25 alone

Run the same command again after a kill: it goes on where it was. Every flag: --help. The same as `crossrank mine`.
"""

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.mining.job import mine
from crossrank.mining.settings import MineSettings

if __name__ == "__main__":
    run(command(MineSettings, mine))
