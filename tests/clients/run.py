"""Real clients against a running server: start it once, then run the tests of each environment with its own Python.

    make test-clients

Arguments are passed on to pytest: `.venv/bin/python tests/clients/run.py -k litellm -x`.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import numpy as np  # noqa: E402

from crossrank import Reranker  # noqa: E402
from tests.clients.asked import EXPECTED, KEY, MODEL, URL, Asked, write  # noqa: E402
from tests.model import real_encoder  # noqa: E402

ENVIRONMENTS = ("a", "b")
NO_TESTS = 5
"""What pytest says where `-k` leaves nothing in one environment."""
BIAS = 7.0
"""Brings the logits of the pairs below around 0, where probabilities lie apart."""
START_S = 180
STOP_S = 60
QUIET = {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LANGSMITH_TRACING": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What keeps the clients from asking anybody but our server."""

QUESTIONS = {
    "korean": (
        "세탁기에서 물이 새면 어떻게 해야 하나요?",
        [
            "먼저 수도꼭지를 잠그고 급수 호스의 고무 패킹이 닳았는지 확인하세요.",
            "이 모델은 한 번에 최대 21kg까지 세탁할 수 있습니다.",
            "배수 필터에 이물질이 끼면 물이 바닥으로 샐 수 있으니 한 달에 한 번 청소하세요.",
            "보증서는 구입일로부터 1년 동안 유효합니다.",
            "누수가 계속되면 서비스 센터(1588-0000)에 점검을 신청하세요.",
            "건조 기능은 문이 완전히 닫혀야 시작됩니다.",
        ],
    ),
    "english": (
        "How do I stop my washing machine from leaking?",
        [
            "Close the tap first, then look whether the rubber seal of the inlet hose is worn.",
            "The drum holds up to 21 kg of laundry.",
            "A clogged drain filter makes water spill onto the floor; clean it once a month.",
            "The warranty runs for one year from the day of purchase.",
            "Naïve fixes such as tape don’t last — book a technician if it goes on leaking.",
            "Drying starts only when the door is fully closed.",
        ],
    ),
}


def main(arguments: list[str]) -> int:
    """Run everything; 0 where all environments pass."""
    missing = [name for name in ENVIRONMENTS if not _python(name).exists()]
    if missing:
        print(f"no environment {', '.join(missing)}; run make test-clients, which makes it", file=sys.stderr)
        return 1
    with TemporaryDirectory(prefix="crossrank-clients-") as made:
        folder = Path(made)
        model = real_encoder.build(folder / "model", BIAS)
        write(_expected(model), folder / "expected.json")
        key = secrets.token_hex(24)
        (folder / "keys").write_text(f"# for one run\n{key}\n")
        with _server(model, folder / "keys", folder / "log") as url:
            told = QUIET | {URL: url, KEY: key, EXPECTED: str(folder / "expected.json")}
            statuses = [_run(name, arguments, told) for name in ENVIRONMENTS]
    # Where -k leaves nothing in one environment, the other one decides; nothing at all is a failure.
    return 0 if all(status in (0, NO_TESTS) for status in statuses) and 0 in statuses else 1


def _expected(model: Path) -> dict[str, Asked]:
    reranker = Reranker.load(str(model), device="cpu")
    found = {}
    for name, (query, documents) in QUESTIONS.items():
        logits = reranker.score([(query, document) for document in documents]).astype("float64")
        found[name] = Asked(query, documents, logits.tolist(), (1 / (1 + np.exp(-logits))).tolist())
    return found


@contextmanager
def _server(model: Path, keys: Path, log: Path) -> Iterator[str]:
    """Its address, once it is ready; stopped at the end."""
    port, statistics, metrics = _free_ports(3)
    url = f"http://127.0.0.1:{port}"
    command = [
        str(Path(sys.executable).with_name("crossrank")),
        *("serve", "--model", str(model), "--model-name", MODEL, "--api-keys", str(keys)),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    fresh = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "CROSSRANK_API_KEYS")}
    fresh |= {
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
    }
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=fresh, cwd=ROOT)
    try:
        _wait_until_ready(process, log)
        print(f"server: {url}", flush=True)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(f"the server did not stop within {STOP_S} s and was killed", file=sys.stderr)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while "ready: http://" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the server did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.2)


def _free_ports(num: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(num)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _run(name: str, arguments: list[str], told: dict[str, str]) -> int:
    print(f"environment {name}", flush=True)
    tests = str(Path("tests", "clients", name))
    # A proxy of this machine is not asked for 127.0.0.1.
    environment = os.environ | told | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    # What our own tests share needs what our own environment has.
    command = [str(_python(name)), "-m", "pytest", "--confcutdir", str(ROOT / "tests" / "clients"), tests, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def _python(name: str) -> Path:
    return ROOT / f".venv-clients-{name}" / "bin" / "python"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
