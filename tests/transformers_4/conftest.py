"""Without `run.py`, which writes the models, nothing here is collected."""

from __future__ import annotations

import os

from tests.transformers_4.handed_over import FOLDER

collect_ignore_glob = [] if FOLDER in os.environ else ["*"]
