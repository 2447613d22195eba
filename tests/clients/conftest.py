"""Where the server is and what it has to answer. Without `run.py`, which says so, nothing here is collected."""

from __future__ import annotations

import os

import pytest

from tests.clients.asked import KEY, URL, Asked, read

collect_ignore_glob = [] if URL in os.environ else ["*"]


@pytest.fixture(scope="session")
def url() -> str:
    """The server, without a slash at the end."""
    return os.environ[URL]


@pytest.fixture(scope="session")
def key() -> str:
    """A key of the server."""
    return os.environ[KEY]


@pytest.fixture(params=["korean", "english"])
def asked(request: pytest.FixtureRequest) -> Asked:
    """What is asked, in each language."""
    return read()[request.param]


@pytest.fixture
def korean() -> Asked:
    """Where one language is enough."""
    return read()["korean"]
