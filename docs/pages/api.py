"""The page `docs/api.md`: what ``from crossrank import ...`` gives, made from the docstrings.

python docs/pages/api.py docs/api.md

Classes are read as source, not imported, so that neither ray nor torch is loaded for their docstrings.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crossrank import errors, verbs
from crossrank.version import PACKAGE

TOP = """\
# In Python

Everything that `from crossrank import ...` gives. Made from the docstrings by `make docs`; `help(crossrank.train)` says
the same, and [the guide](guide.md) says what to use when. Importing `crossrank` loads neither ray nor torch: each name
loads what it needs when it is first used.

- `Reranker` scores and ranks what is in memory: no Ray.
- `rerank_dataset` is a step of a Ray Data pipeline of your own.
- `convert`, `translate`, `filter`, `mine`, `train`, `merge`, `evaluate`, `rerank` and `score` are the verbs of
  [the command line](cli.md). Their keywords are its flags, and the keys of `--set`; paths may be `pathlib.Path`, and
  every one of them may lie on `s3://`. They say what they do on standard error, go on where an earlier call was, and
  return the manifest that they wrote.
- What is wrong with an input or a keyword is a `UserError` with one sentence; work that failed is a `JobFailed`.
  Nothing else is raised on purpose.

```python
import crossrank

crossrank.mine(groups="groups.parquet", corpus="corpus.jsonl", output="mined")
manifest = crossrank.train(base="BAAI/bge-reranker-v2-m3", groups="mined", output="model", num_train_epochs=2)
print(manifest["chosen_step"], "of", manifest["steps"])
```
"""
VERBS: tuple[Callable[..., Any], ...] = (
    verbs.convert,
    verbs.translate,
    verbs.filter,
    verbs.mine,
    verbs.train,
    verbs.merge,
    verbs.evaluate,
    verbs.rerank,
    verbs.score,
)
CLASSES = (("scoring/reranker.py", "Reranker"), ("scoring/ranking.py", "RankedDocument"))
SECTION = re.compile(r"^(Args|Returns|Yields|Raises):\n((?:    .*\n?|\n)+)", re.MULTILINE)
FIRST = re.compile(r"^    (\w+): ", re.MULTILINE)
"""Beginning of an entry of a section."""


def page() -> str:
    """The page as Markdown."""
    parts = [
        TOP,
        *(_class(*where) for where in CLASSES),
        _source_function("reranking/on_ray/dataset.py", "rerank_dataset"),
    ]
    parts += map(_verb, VERBS)
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[1]
    return "\n".join([*parts, f"## Errors\n\nAll are in `crossrank.errors`.\n\n{tree}\n"])


def _verb(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    required = [
        f"{name}=..." if each.kind is each.KEYWORD_ONLY else name
        for name, each in signature.parameters.items()
        if each.default is each.empty
    ]
    arguments = ", ".join([*required, *(["..."] if len(required) < len(signature.parameters) else [])])
    summary, sections = _parsed(inspect.getdoc(function) or "")
    rows = ["| keyword | what | default |", "|---|---|---|"]
    for name, what in sections.pop("Args", []):
        default = signature.parameters[name].default
        rows.append(_row(f"`{name}`", what, "required" if default is inspect.Parameter.empty else f"`{default!r}`"))
    lines = [f"## {function.__name__}", "", f"    crossrank.{function.__name__}({arguments})", "", summary, "", *rows]
    return "\n".join([*lines, "", *_sections(sections)])


def _class(file: str, name: str) -> str:
    node = _node(file, name)
    assert isinstance(node, ast.ClassDef)
    lines = [f"## {name}", "", _indented_code(ast.get_docstring(node) or ""), ""]
    fields = list(_fields(node))
    if fields:
        lines += ["| field | what |", "|---|---|", *(_row(f"`{field}`", what) for field, what in fields), ""]
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            lines += [f"### {name}.{each.name}", "", *_documented(each, name)]
    return "\n".join(lines)


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Fields of a dataclass, each with the text under it."""
    if not node.decorator_list:
        return
    for place, each in enumerate(node.body):
        if isinstance(each, ast.AnnAssign):
            after = node.body[place + 1] if place + 1 < len(node.body) else None
            is_documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            what = " ".join(str(after.value.value).split()) if is_documented else ""  # type: ignore[union-attr]
            yield f"{ast.unparse(each.target)}: {ast.unparse(each.annotation)}", what


def _source_function(file: str, name: str) -> str:
    node = _node(file, name)
    assert isinstance(node, ast.FunctionDef)
    return "\n".join([f"## {name}", "", *_documented(node, "crossrank")])


def _documented(node: ast.FunctionDef, owner: str) -> Iterator[str]:
    arguments = f"({re.sub(r'^(self|cls)(, )?', '', ast.unparse(node.args))})"
    is_property = any(isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    summary, sections = _parsed(ast.get_docstring(node) or "")
    yield from (f"    {owner}.{node.name}{'' if is_property else arguments}{returns}", "", summary, "")
    described = sections.pop("Args", [])
    if described:
        yield from (*(f"- `{name}`: {what}" for name, what in described), "")
    yield from _sections(sections)


def _sections(sections: dict[str, list[tuple[str, str]]]) -> Iterator[str]:
    for heading, entries in sections.items():
        if heading == "Raises":
            yield from ("Raises:", "", *(f"- `{name}`: {what}" for name, what in entries), "")
        else:
            yield from (f"{heading}: {' '.join(f'{name}: {what}' if name else what for name, what in entries)}", "")


def _parsed(docstring: str) -> tuple[str, dict[str, list[tuple[str, str]]]]:
    """The beginning of a docstring, and the entries of its sections; an entry without a name is all of a section."""
    sections = {}
    for heading, text in SECTION.findall(docstring):
        begun = FIRST.search(text) is not None and heading in ("Args", "Raises")
        pieces = FIRST.split(text)[1:] if begun else ["", text]
        sections[heading] = [
            (name, _code(" ".join(what.split()))) for name, what in zip(pieces[::2], pieces[1::2], strict=True)
        ]
    return _code(SECTION.sub("", docstring).strip()), sections


def _code(text: str) -> str:
    """Double back-quotes are those of Python's docstrings."""
    return re.sub(r"(?<!`)``(?!`)", "`", text)


def _indented_code(docstring: str) -> str:
    """A docstring whose example follows its first paragraph."""
    first, example, *more = [*docstring.split("\n\n"), ""]
    if not example.startswith("    "):
        return _code(docstring)
    return _code("\n\n".join([first, f"```python\n{inspect.cleandoc(example)}\n```", *more]).rstrip())


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _node(file: str, name: str) -> ast.stmt:
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    return next(each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
