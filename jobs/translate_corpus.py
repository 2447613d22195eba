"""Translate groups into another language: each text is paid once in its life, and kept in a translation memory.

    ray job submit --runtime-env jobs/runtime_env.yaml -- \\
        python jobs/translate_corpus.py --groups s3://bucket/groups-en --source en --target ko --backend amazon \\
        --memory s3://bucket/memory --budget-usd 100 --output s3://bucket/groups-ko

    python jobs/translate_corpus.py --groups groups.jsonl --source en --target ko \\
        --backend seq2seq --model ./madlad --output groups-ko                          # laptop, local Ray

Run the same command again after a kill, or with a larger budget: it goes on where it was. `--dry-run` says texts, cost
and time. Every flag: --help. The same as `crossrank translate`.
"""

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.translation.job import translate
from crossrank.translation.settings import TranslateSettings

if __name__ == "__main__":
    run(command(TranslateSettings, translate))
