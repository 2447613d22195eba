"""Files on a disk of this machine, which workers on other nodes of a cluster would look for in vain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.cluster.on_ray.others import on_other_nodes
from crossrank.errors import SettingsError
from crossrank.resumable.output import manifest_of


def refuse_private_disks(places: Mapping[str, str | None]) -> None:
    """Refuse files on a disk of this machine that another node of the cluster does not see alike.

    Without it a worker there would find nothing, in the middle of the job, or write where nobody looks. Nodes that
    come later are not asked.

    Args:
        places: URIs by the flag that names them; those on s3://, or not on this node, are not compared.

    Raises:
        SettingsError: a node sees something else; the sentence names the flag and the node.
    """
    paths = {
        flag: os.path.abspath(os.path.expanduser(uri)) for flag, uri in places.items() if uri and not storage.is_s3(uri)
    }
    on_this_node = _seen(paths)
    for address, there in on_other_nodes(_seen, paths):
        for flag, seen in on_this_node.items():
            if seen is not None and there[flag] != seen:
                raise SettingsError(
                    f"{flag} is {paths[flag]}, on a disk that the node {address} does not share; use s3://, or a disk "
                    f"that all nodes mount"
                )


def _seen(paths: Mapping[str, str]) -> dict[str, Any]:
    return {flag: _seen_of(path) for flag, path in paths.items()}


def _seen_of(path: str) -> Any:
    """A value that is equal on all nodes that see the same file or folder; None where there is nothing."""
    try:
        if os.path.exists(manifest := manifest_of(path)):
            # An output: what an earlier run of the job left may be coming and going still.
            return Path(manifest).read_bytes()
        if os.path.isdir(path):
            return sorted((entry.name, entry.stat().st_size) for entry in os.scandir(path) if entry.is_file())
        return os.stat(path).st_size
    except OSError:
        return None
