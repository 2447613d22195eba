"""Which settings of a server are refused."""

from typing import Any

import pytest

from crossrank.errors import SettingsError
from crossrank.serving.settings import ServeSettings, refuse_open_door


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_on_this_machine_alone_no_key_is_needed(host: str) -> None:
    refuse_open_door(ServeSettings(model="m", host=host), has_keys=False)


def test_where_others_reach_it_a_server_without_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="give --api-keys FILE, or say --without-keys"):
        refuse_open_door(ServeSettings(model="m", host="0.0.0.0"), has_keys=False)
    refuse_open_door(ServeSettings(model="m", host="0.0.0.0"), has_keys=True)
    refuse_open_door(ServeSettings(model="m", host="0.0.0.0", without_keys=True), has_keys=False)


@pytest.mark.parametrize("host", ["::", "::1", "127.8.8.8", "127.1", "192.168.1.7", "example.org", ""])
def test_an_address_at_which_haproxy_does_not_reach_the_replicas_is_refused(host: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ServeSettings(model="m", host=host, without_keys=True)
    assert f"--host is {host}, and HAProxy reaches the replicas at 127.0.0.1 alone" in str(refused.value)
    assert "use 127.0.0.1 for this machine alone, or 0.0.0.0" in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_replicas": -1}, "--min-replicas is -1; use at least 0"),
        ({"max_replicas": 0}, "--max-replicas is 0; use at least 1"),
        ({"min_replicas": 3, "max_replicas": 2}, "--max-replicas is 2, under --min-replicas"),
        ({"max_body_mb": 0.0}, "--max-body-mb is 0; use a number above 0"),
        ({"default_timeout_s": float("nan")}, "--default-timeout-s is nan"),
        ({"max_documents": 0}, "--max-documents is 0"),
        ({"threads": 0}, "--threads is 0; use at least 1"),
        ({"gpus_per_replica": -1.0}, "--gpus-per-replica is -1; use at least 0"),
        ({"max_client_batch_size": 0}, "--max-client-batch-size is 0; use at least 1"),
        ({"port": 0}, "--port is 0; use a number from 1 to 65535"),
        ({"port": 65536}, "--port is 65536; use a number from 1 to 65535"),
    ],
)
def test_a_value_beyond_its_limit_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        ServeSettings(model="m", **wrong)
    assert words in str(refused.value)
