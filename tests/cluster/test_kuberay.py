"""The manifests for KubeRay: what they run is what crossrank has. Kubernetes itself is not at hand."""

from __future__ import annotations

import shlex
from typing import Any

import click
import yaml
from ray.serve.schema import ServeDeploySchema

from crossrank.cli.main import crossrank
from tests.ray.driver import ROOT

RAY = "2.60.0"


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "serve" / "kuberay" / name).read_text())
    return found


def clusters() -> list[dict[str, Any]]:
    """Those of the job and of the service."""
    return [
        manifest("rayjob.yaml")["spec"]["rayClusterSpec"],
        manifest("rayservice.yaml")["spec"]["rayClusterConfig"],
    ]


def test_the_job_is_a_verb_with_flags_that_it_has() -> None:
    program, verb, *flags = shlex.split(manifest("rayjob.yaml")["spec"]["entrypoint"])
    assert program == "crossrank"
    command = crossrank.commands[verb]
    context = command.make_context(verb, flags, resilient_parsing=False)
    assert isinstance(context, click.Context)
    assert context.params["workers"] == "1:8"


def test_the_service_is_an_application_as_ray_serve_reads_it() -> None:
    told = yaml.safe_load(manifest("rayservice.yaml")["spec"]["serveConfigV2"])
    of_file = yaml.safe_load((ROOT / "serve" / "autoscaled.yaml").read_text())
    [application] = ServeDeploySchema.model_validate(told).applications
    [same] = ServeDeploySchema.model_validate(of_file).applications
    assert application.import_path == same.import_path
    assert application.args == same.args
    assert told["http_options"] == of_file["http_options"] | {"host": "0.0.0.0"}  # other pods have to reach it


def test_who_reaches_the_service_needs_a_key() -> None:
    config = manifest("rayservice.yaml")["spec"]["rayClusterConfig"]
    for group in [config["headGroupSpec"], *config["workerGroupSpecs"]]:
        [container] = group["template"]["spec"]["containers"]
        [key] = [each for each in container["env"] if each["name"] == "CROSSRANK_API_KEYS"]
        assert "value" not in key  # a secret of the cluster, and nothing that is written here
        assert key["valueFrom"]["secretKeyRef"] == {"name": "crossrank-keys", "key": "keys"}


def test_both_ask_every_client_of_the_cluster_for_a_token() -> None:
    for cluster in clusters():
        assert cluster["authOptions"] == {"mode": "token"}
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            [container] = group["template"]["spec"]["containers"]
            assert not [each for each in container.get("env", ()) if each["name"].startswith("RAY_AUTH")]


def test_both_run_the_image_with_the_ray_that_crossrank_is_tested_with() -> None:
    for cluster in clusters():
        assert cluster["rayVersion"] == RAY
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            [container] = group["template"]["spec"]["containers"]
            assert container["image"] == "crossrank:latest"
    assert f"FROM rayproject/ray:{RAY}-py311" in (ROOT / "Dockerfile").read_text()
