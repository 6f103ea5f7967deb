"""YAML as people mean it: the 1.2 core schema, so that `on` is a word and `12:30` a string.

PyYAML's own loader reads YAML 1.1, where `on:` is the key True and `12:30` the number 750.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from shared.model.errors import Invalid

TEXT_CHARACTERS = 64 * 1024


class _Loader(yaml.SafeLoader):
    """Safe, with YAML 1.2's plain scalars; a key given twice is refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own attribute)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a field's name must be a word", problem_mark=key.start_mark
                )
            if key.value in seen:
                problem = f"'{key.value}' is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,18}", "-+0123456789"),
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
)
for _tag, _form, _first in _SCALARS:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_form})$"), list(_first)
    )


def read_yaml(text: str) -> Any:
    """The document, JSON being YAML too. Raises `Invalid` saying where the text is wrong."""
    if len(text) > TEXT_CHARACTERS:
        raise Invalid(f"the document has over {TEXT_CHARACTERS} characters")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid(f"the document is not YAML or JSON: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} at line {mark.line + 1}, column {mark.column + 1}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
