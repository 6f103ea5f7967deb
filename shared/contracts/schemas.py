"""JSON Schemas of the public documents, made from the models that check them."""

import json
from pathlib import Path
from typing import Any

from shared.contracts.commands import PublicCommand
from shared.contracts.policy import PolicyDocument

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Every published schema's file name and text."""
    return {
        "commands.json": _text(
            "A message on the commands queue", PublicCommand.json_schema(by_alias=True)
        ),
        "policy.json": _text("A policy document", PolicyDocument.model_json_schema(by_alias=True)),
    }


def write_schemas(folder: Path) -> list[Path]:
    """Writes them to `folder`; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = schemas()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _text(title: str, schema: dict[str, Any]) -> str:
    named = {**schema, "$schema": _DIALECT, "title": title}
    return json.dumps(named, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
