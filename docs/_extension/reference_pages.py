"""The reference from the code: card fields from the schema, and Python objects without PyTorch's.

```{card-fields}
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Schema = Mapping[str, Any]
_LEAVES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


class CardFields(SphinxDirective):
    """A table of fields for every object of the model card's JSON Schema."""

    def run(self) -> list[nodes.Node]:
        """Return the tables."""
        from rramfit.card import json_schema

        schema = json_schema()
        return self.parse_text_to_nodes("\n".join(card_text(schema)), allow_section_headings=True)


def card_text(schema: Schema) -> Iterator[str]:
    """Yield the lines of a Markdown page: the card first, then its parts in alphabetical order."""
    yield from _object("ModelCard", schema)
    for name, part in sorted(schema["$defs"].items()):
        yield from _object(name, part)


def _object(name: str, part: Schema) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield str(part.get("description", ""))
    yield ""
    if "properties" not in part:
        return
    required = part.get("required", ())
    yield "| field | type | meaning |"
    yield "| --- | --- | --- |"
    for field, rule in part["properties"].items():
        kind = _type(rule) + ("" if field in required else ", optional")
        yield f"| `{field}` | {kind} | {_cell(rule.get('description', ''))} |"
    yield ""


def _type(rule: Schema) -> str:
    if "$ref" in rule:
        name = str(rule["$ref"]).rsplit("/", 1)[-1]
        return f"[{name}](#{name.casefold()})"
    if "anyOf" in rule:
        kinds = [_type(r) for r in rule["anyOf"] if r.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in rule or "const" in rule:
        return " or ".join(f"`{value}`" for value in rule.get("enum", [rule.get("const")]))
    if rule.get("type") == "array":
        inner = rule.get("items") or {}
        return f"list of {_type(inner)}" if inner else "list"
    if rule.get("type") == "object":
        values = rule.get("additionalProperties")
        return f"names to {_type(values)}" if isinstance(values, Mapping) else "object"
    return _LEAVES.get(str(rule.get("type")), "any value")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _skip_torch(
    app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what a layer inherits from PyTorch or stores of it."""
    module = getattr(obj, "__module__", "") or ""
    return True if module.startswith("torch") or type(obj).__module__.startswith("torch") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the filter."""
    app.connect("autodoc-skip-member", _skip_torch)
    app.add_directive("card-fields", CardFields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
