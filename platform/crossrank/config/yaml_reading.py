"""YAML as configuration files have it, read so that nothing in it is quietly taken for something else.

YAML 1.1, as PyYAML reads it, keeps the last of two equal keys, and has whole numbers in base 8 (``010`` is 8) and 60
(``1:8`` is 68). This reader takes a key once, and such numbers as texts, which the settings then refuse. A value stands
where it is meant: with anchors and aliases a file of ten lines holds more than a memory does, or itself.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

DEPTH_MOST = 32
"""Most levels of nested lists and mappings. A recipe has three."""

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_DECIMAL_OR_HEXADECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)\Z")
_DECIMAL = re.compile(
    r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)


def load_yaml(raw: bytes | str, name: str) -> Any:
    """Read the value of a document.

    Args:
        name: name of the file, for errors about a place in it.

    Raises:
        yaml.YAMLError: it is not YAML, or has a repeated key, an alias, or more than `DEPTH_MOST` levels.
    """
    loader = _Loader(raw)
    loader.name = name
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f"*{event.anchor} stands for another place, which is not read here; write its value", event)
        if self.depth >= DEPTH_MOST:
            self._refuse(f"lists and mappings are nested more than {DEPTH_MOST} deep", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = key.value.replace("-", "_") if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                self._refuse(f"the key {key.value} comes twice; leave one of them out", key)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def _refuse(self, problem: str, place: yaml.Event | yaml.Node) -> None:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in patterns if tag not in (_INT, _FLOAT)]
    for first, patterns in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_FLOAT, _DECIMAL, list("-+0123456789."))
_Loader.add_implicit_resolver(_INT, _DECIMAL_OR_HEXADECIMAL, list("-+0123456789"))
