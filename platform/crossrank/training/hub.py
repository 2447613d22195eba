"""Upload of a finished model to the model hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from crossrank.errors import OutputError, SettingsError, StorageError, in_short
from crossrank.scoring.loading import HUB_ID

NOT_PUSHED = ["_*", "*/_*"]
"""Patterns of names that crossrank keeps for itself: manifests, checkpoints, rejected rows."""
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404


class HubClient(Protocol):
    """The part of `huggingface_hub.HfApi` that is used."""

    def whoami(self) -> dict[str, Any]:
        """Look up whose token is in use; an error where there is none."""

    def create_repo(self, repo_id: str, *, private: bool | None = None, exist_ok: bool = False) -> Any:
        """Make a repository of models."""

    def upload_folder(
        self,
        *,
        repo_id: str,
        folder_path: str | Path,
        commit_message: str | None = None,
        ignore_patterns: list[str] | str | None = None,
    ) -> Any:
        """Commit the files of a folder; what it returns has the `commit_url`."""


def check_repo(repo_id: str, api: HubClient | None = None) -> None:
    """Refuse, hours before there is a model, a name that no hub could have, a missing token, or an absent hub.

    Raises:
        SettingsError: the name.
        StorageError: there is no token, or the hub cannot be reached.
    """
    _refuse_bad_name(repo_id)
    with _translated(f"--push-to-hub {repo_id}", repo_id):
        (api or _client()).whoami()


def push_to_hub(folder: Path, repo_id: str, api: HubClient | None = None, *, shown_as: str | None = None) -> str:
    """Commit a model folder to a repository of the hub, without the names that begin with an underscore.

    A repository that does not exist is made a private one: the data may not be public, so whether to publish the model
    is its owner's to decide.

    Args:
        repo_id: ``owner/name``.
        shown_as: name of the folder in an error, where it is a copy that the user does not know of.

    Returns:
        Address of the commit.
    """
    _refuse_bad_name(repo_id)
    if not (folder / "config.json").exists():
        raise OutputError(
            f"{folder} has no config.json, so it is no model folder, and nothing is pushed; name the model"
        )
    client = api or _client()
    with _translated(f"{shown_as or folder} is whole and was not pushed", repo_id):
        client.create_repo(repo_id, private=True, exist_ok=True)
        commit = client.upload_folder(
            repo_id=repo_id, folder_path=folder, commit_message="crossrank train", ignore_patterns=NOT_PUSHED
        )
    return str(commit.commit_url)


def _client() -> HubClient:
    from huggingface_hub import HfApi

    client: HubClient = HfApi()
    return client


def _refuse_bad_name(repo_id: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, by its documentation

    refused: Exception | None = None
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        refused = error
    if refused or not HUB_ID.fullmatch(repo_id):  # the hub's client also takes a name without an owner
        raise SettingsError(
            f"--push-to-hub is {repo_id!r}, which no repository can be called; use owner/name"
        ) from refused


@contextmanager
def _translated(state: str, repo_id: str) -> Iterator[None]:
    """Turn what the hub's client raises into one sentence that begins with the `state` of things."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise _no_token(state) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == UNAUTHORIZED:
            raise _no_token(state) from error
        if status in (FORBIDDEN, NOT_FOUND):
            raise StorageError(
                f"{state}: the token in use may not write to {repo_id} (the hub answered {status}); use a token with "
                f"write access there, or another owner"
            ) from error
        reason = error.server_message or f"status {status}"
        raise StorageError(f"{state}: the hub refused {repo_id} ({_line(reason)}); try again later") from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise StorageError(
            f"{state}: the model hub cannot be reached ({_line(error)}); check the network and HF_ENDPOINT"
        ) from error
    except (OSError, RuntimeError) as error:  # the second is what its transfer of large files raises
        raise StorageError(f"{state}: the upload broke off ({_line(error)}); try again") from error
    except ValueError as error:  # what the hub finds wrong in a README
        raise OutputError(f"{state}: the hub refused its README.md ({_line(error)}); put it right") from error


def _no_token(state: str) -> StorageError:
    return StorageError(
        f"{state}: the hub does not know who you are; run 'hf auth login', or set HF_TOKEN to a token that may write"
    )


def _line(cause: object) -> str:
    """The cause in one line; the kind of an error that says nothing."""
    return in_short(cause)
