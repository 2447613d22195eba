"""Fine-tune a reranker on labelled groups: a model folder with its card, the same for any number of workers.

    ray job submit --runtime-env jobs/runtime_env.yaml -- \\
        python jobs/train_reranker.py --config jobs/recipes/ko_reranker.yaml \\
        --groups s3://bucket/groups/ --eval-fraction 0.002 --output s3://bucket/ko-reranker --workers 4

    python jobs/train_reranker.py --config jobs/recipes/small_machine.yaml \\
        --base ./model --groups groups.jsonl --eval-fraction 0.1 --output out                     # laptop, local Ray

Run the same command again after a kill, with any --workers: it goes on at the exact step. Recipes: jobs/recipes/.
Every flag and every key of a recipe: --help. The same as `crossrank train`.
"""

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings

if __name__ == "__main__":
    run(command(TrainSettings, train))
