"""Pushing to the model hub, against a stand-in for its client that takes what the real one takes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import CommitInfo, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]  # public, by its documentation

from crossrank.errors import OutputError, SettingsError, StorageError, UserError
from crossrank.training.hub import HubClient, check_repo, push_to_hub

REPO = "someone/reranker"
COMMIT = f"https://huggingface.co/{REPO}/commit/91c54ad1727ee830252e457677f467be0bfd8a57"


class StandInHub:
    """A hub in memory: repositories and the files in them."""

    def __init__(self, error: Exception | None = None, failing: str = "") -> None:
        self.files: dict[str, list[str]] = {}
        self.is_private: dict[str, bool | None] = {}
        self._error, self._failing = error, failing

    def _fail(self, method: str) -> None:
        if self._error is not None and self._failing in ("", method):
            raise self._error

    def whoami(self) -> dict[str, Any]:
        self._fail("whoami")
        return {"name": "someone"}

    def create_repo(self, repo_id: str, *, private: bool | None = None, exist_ok: bool = False) -> Any:
        self._fail("create_repo")
        if repo_id in self.files and not exist_ok:
            raise http_error(409)
        self.files.setdefault(repo_id, [])
        self.is_private.setdefault(repo_id, private)

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str | Path,
        commit_message: str | None = None,
        ignore_patterns: list[str] | str | None = None,
    ) -> Any:
        self._fail("upload_folder")
        found = sorted(str(path.relative_to(folder_path)) for path in Path(folder_path).rglob("*") if path.is_file())
        self.files[repo_id] += filter_repo_objects(found, ignore_patterns=ignore_patterns)
        return CommitInfo(commit_url=COMMIT, commit_message=commit_message or "", commit_description="", oid="91c5")


def http_error(
    status: int, error_class: type[HfHubHTTPError] = HfHubHTTPError, says: str | None = None
) -> HfHubHTTPError:
    request = httpx2.Request("POST", "https://huggingface.co/api/repos/create")
    return error_class(f"{status}", response=httpx2.Response(status, request=request), server_message=says)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder as training leaves it, by its names."""
    folder = tmp_path / "model"
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
        "events.out.tfevents.crossrank",
        "_manifest.json",
        "_checkpoint/step-10/model.safetensors",
        "onnx/_notes.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


def sentence_of(error: Exception, model: Path, error_class: type[UserError] = StorageError) -> str:
    """What is said when uploading raises `error`."""
    with pytest.raises(error_class) as caught:
        push_to_hub(model, REPO, StandInHub(error, "upload_folder"))
    sentence = str(caught.value)
    assert sentence.startswith(f"{model} is whole and was not pushed: ")
    assert "\n" not in sentence
    return sentence


# pushing


def test_the_model_is_committed_without_what_crossrank_keeps_for_itself(model: Path) -> None:
    hub = StandInHub()
    assert push_to_hub(model, REPO, hub) == COMMIT
    assert hub.files == {
        REPO: ["README.md", "config.json", "events.out.tfevents.crossrank", "model.safetensors", "tokenizer.json"]
    }


def test_a_repository_that_is_made_is_private(model: Path) -> None:
    hub = StandInHub()
    push_to_hub(model, REPO, hub)
    assert hub.is_private == {REPO: True}


def test_a_repository_that_is_there_is_added_to_and_stays_public(model: Path) -> None:
    hub = StandInHub()
    hub.create_repo(REPO, private=False)
    assert push_to_hub(model, REPO, hub) == COMMIT
    assert hub.is_private == {REPO: False}


@pytest.mark.parametrize("method", ["whoami", "create_repo", "upload_folder"])
def test_the_stand_in_takes_what_the_hubs_client_takes(method: str) -> None:
    real = inspect.signature(getattr(HfApi, method)).parameters
    ours = inspect.signature(getattr(StandInHub, method)).parameters
    for name, parameter in ours.items():
        assert (real[name].kind, real[name].default) == (parameter.kind, parameter.default), name
    wanted = {name for name, parameter in real.items() if parameter.default is parameter.empty}
    assert wanted <= ours.keys()


def test_the_stand_in_and_the_hubs_client_have_all_that_is_used() -> None:
    used = {name for name in vars(HubClient) if not name.startswith("_")}
    assert used == {"whoami", "create_repo", "upload_folder"}
    assert all(hasattr(HfApi, name) for name in used)
    assert "commit_url" in inspect.signature(CommitInfo).parameters


def test_without_a_client_the_hubs_own_is_asked(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = StandInHub()
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert push_to_hub(model, REPO) == COMMIT
    check_repo(REPO)


# what is refused


@pytest.mark.parametrize(
    "repo_id", ["reranker", "a/b/c", "", "/models/reranker", "owner/..", "owner/a--b", "owner/a.git"]
)
def test_a_name_that_no_repository_can_have_is_refused_before_training(repo_id: str, model: Path) -> None:
    hub = StandInHub()
    for refused in (lambda: check_repo(repo_id, hub), lambda: push_to_hub(model, repo_id, hub)):
        with pytest.raises(SettingsError) as caught:
            refused()
        assert str(caught.value) == (f"--push-to-hub is {repo_id!r}, which no repository can be called; use owner/name")
    assert hub.files == {}


@pytest.mark.parametrize("error", [LocalTokenNotFoundError("Token is required"), http_error(401)])
def test_no_token_is_said_before_training(error: Exception) -> None:
    with pytest.raises(StorageError) as caught:
        check_repo(REPO, StandInHub(error))
    assert str(caught.value) == (
        f"--push-to-hub {REPO}: the hub does not know who you are; run 'hf auth login', or set HF_TOKEN to a token "
        f"that may write"
    )


def test_a_hub_that_knows_the_token_lets_training_begin() -> None:
    hub = StandInHub()
    check_repo(REPO, hub)
    assert hub.files == {}


def test_a_folder_that_is_no_model_is_not_pushed(tmp_path: Path) -> None:
    hub = StandInHub()
    with pytest.raises(OutputError, match=r"has no config.json, so it is no model folder, and nothing is pushed"):
        push_to_hub(tmp_path, REPO, hub)
    assert hub.files == {}


def test_a_token_that_is_refused_is_said(model: Path) -> None:
    assert "the hub does not know who you are; run 'hf auth login'" in sentence_of(http_error(401), model)


@pytest.mark.parametrize("error", [http_error(403), http_error(404, RepositoryNotFoundError)])
def test_a_token_that_may_not_write_there_is_said(error: HfHubHTTPError, model: Path) -> None:
    status = error.response.status_code
    expected = (
        f"the token in use may not write to {REPO} (the hub answered {status}); use a token with write access there, "
        f"or another owner"
    )
    assert expected in sentence_of(error, model)


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("no route to host"), httpx2.ReadTimeout("no answer"), OfflineModeIsEnabled("offline")]
)
def test_a_hub_that_cannot_be_reached_is_said(error: Exception, model: Path) -> None:
    assert sentence_of(error, model).endswith(
        f"the model hub cannot be reached ({error}); check the network and HF_ENDPOINT"
    )


def test_what_else_the_hub_says_is_passed_on(model: Path) -> None:
    assert f"the hub refused {REPO} (status 503); try again later" in sentence_of(http_error(503), model)
    full = http_error(400, BadRequestError, "your storage\nis full")
    assert f"the hub refused {REPO} (your storage is full); try again later" in sentence_of(full, model)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), RuntimeError("Data processing error")])
def test_an_upload_that_breaks_off_is_said(error: Exception, model: Path) -> None:
    assert f"the upload broke off ({error}); try again" in sentence_of(error, model)


def test_a_card_that_the_hub_refuses_is_said(model: Path) -> None:
    sentence = sentence_of(ValueError("Invalid metadata in README.md.\n- license"), model, OutputError)
    assert "the hub refused its README.md (Invalid metadata in README.md. - license); put it right" in sentence


def test_a_repository_that_cannot_be_made_is_said_too(model: Path) -> None:
    with pytest.raises(StorageError, match=f"{model} is whole and was not pushed: the token in use may not write"):
        push_to_hub(model, REPO, StandInHub(http_error(403), "create_repo"))


def test_the_folder_is_called_what_the_user_calls_it(model: Path) -> None:
    with pytest.raises(StorageError, match="s3://bucket/model is whole and was not pushed"):
        push_to_hub(model, REPO, StandInHub(http_error(403)), shown_as="s3://bucket/model")
