"""What crossrank writes, read by transformers 4: write every family once, then score it in environments of their own.

    make test-transformers-4

Arguments are passed on to pytest: `.venv/bin/python tests/transformers_4/run.py -k qwen3 -x`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import torch  # noqa: E402

from crossrank import Reranker  # noqa: E402
from crossrank.scoring.encoding import PromptEncoder  # noqa: E402
from crossrank.scoring.loading import find_model  # noqa: E402
from crossrank.training.merge import MergeSettings, merge  # noqa: E402
from crossrank.training.model import TrainedModel  # noqa: E402
from crossrank.training.settings import TrainSettings  # noqa: E402
from tests.model import tiny_models  # noqa: E402
from tests.model.tiny_models import TEXTS  # noqa: E402
from tests.transformers_4 import families  # noqa: E402
from tests.transformers_4.handed_over import FOLDER, MAX_LENGTH, Model, write  # noqa: E402

ENVIRONMENTS = (ROOT / ".venv-transformers-4", ROOT / ".venv-infinity")
"""The last transformers 4, and infinity with the version that it pins, the first that has ModernBERT."""
PAIRS = [
    (TEXTS[0], TEXTS[1]),
    (TEXTS[8], TEXTS[9]),
    ("How LONG does it charge, Élodie?", "Élodie CHARGES it for four hours."),
    (TEXTS[0], " ".join(TEXTS[:15])),  # over the window of most
    (TEXTS[14], ""),
]
LORA = {"bert": 4, "qwen3": 4}
"""Families that are tuned by adapters, which are merged when they are written."""


def main(arguments: list[str]) -> int:
    """Write, then score with both versions; 0 where both pass."""
    if not all((environment / "ready").exists() for environment in ENVIRONMENTS):
        print("no environments with transformers 4; run make test-transformers-4, which makes them", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    tiny_models.FAMILIES.update(families.FAMILIES)
    with TemporaryDirectory(prefix="crossrank-portable-") as made:
        folder = Path(made)
        write([model for family in families.FAMILIES for model in _models(family, folder)], folder)
        statuses = [_read(folder, environment, arguments) for environment in ENVIRONMENTS]
    return max(statuses)


def _models(family: str, folder: Path) -> list[Model]:
    """A tuned model, as `crossrank train` and its checkpoints write it, and its merge with the base."""
    base, tuned, merged = (folder / f"{family}-{name}" for name in ("base", "tuned", "merged"))
    tiny_models.build(family, base)
    settings = TrainSettings(
        base=str(base), groups="unread", output="unwritten", max_length=MAX_LENGTH, lora_rank=LORA.get(family, 0)
    )
    model = TrainedModel(settings, find_model(str(base)), torch.device("cpu"))
    with torch.no_grad():
        for weight in model.model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.02)
    tuned.mkdir()
    model.save(tuned)
    merge(MergeSettings(base=str(base), tuned=str(tuned), alpha=0.5, output=str(merged)))
    prompt = None
    if isinstance(model.encoder, PromptEncoder):
        encoder = model.encoder
        prompt = (encoder.prompt.before, [encoder.body(query) for query, _ in PAIRS], encoder.prompt.after)
    return [Model(str(path), family, PAIRS, _logits(path), prompt, _logits(base)) for path in (tuned, merged)]


def _logits(folder: Path) -> list[float]:
    found: list[float] = Reranker.load(str(folder), device="cpu", max_length=MAX_LENGTH).score(PAIRS).tolist()
    return found


def _read(folder: Path, environment: Path, arguments: list[str]) -> int:
    """Run the tests with the packages of an environment."""
    tests = str(Path("tests", "transformers_4", "read"))
    told = {FOLDER: str(folder), "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"}
    told |= {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    # What our own tests share needs what our own environment has.
    confined = ["--confcutdir", str(ROOT / "tests" / "transformers_4"), "-p", "no:cacheprovider"]
    command = [str(environment / "bin" / "python"), "-m", "pytest", *confined, tests, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | told).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
