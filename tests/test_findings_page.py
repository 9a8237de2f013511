"""docs/reference/findings.md has every finding that the code can make, and no other."""

import ast
import re


def _codes(repo):
    """Return the code of every `Finding(...)` in the library, and the places without one."""
    codes, without = [], []
    for path in sorted((repo / "rramfit").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                code = next((k.value for k in node.keywords if k.arg == "code"), None)
                if isinstance(code, ast.Constant):
                    codes.append(code.value)
                else:
                    without.append(f"{path.relative_to(repo)}:{node.lineno}")
    return codes, without


def test_every_finding_is_explained(repo):
    codes, without = _codes(repo)
    again = [w for w in without if not w.startswith("rramfit/reporting/report_data/")]  # from cards
    assert again == []
    page = (repo / "docs/reference/findings.md").read_text(encoding="utf-8")
    explained = re.findall(r"^### (\S+)$", page, re.MULTILINE)
    assert len(set(explained)) == len(explained)
    assert set(codes) == set(explained)
