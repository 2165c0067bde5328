"""No code stands in data: nothing in the product, its tests or its benchmarks unpickles, evaluates or loads objects."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("protocol", "bs_controller", "ue_agent", "emulator", "sdr_backend", "deploy")
BUILT_IN = frozenset({"eval", "exec", "compile", "__import__"})  # as plain names: a network's own eval() runs nothing
METHODS = frozenset({"recv_pyobj", "send_pyobj", "unsafe_load", "full_load"})
PICKLES = frozenset({"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"})


def calls(text: str) -> Iterator[tuple[int, str, str, dict[str, ast.expr]]]:
    """Yield line, owner, name and keywords of every call in a file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            if isinstance(node.func, ast.Name):
                yield node.lineno, "", node.func.id, keywords
            elif isinstance(node.func, ast.Attribute):
                yield node.lineno, ast.unparse(node.func.value).split(".")[0], node.func.attr, keywords


def offences(text: str) -> list[str]:
    """Return what in a file could run code that stands in data."""
    return [
        f"line {line}: {owner}.{name}" for line, owner, name, keywords in calls(text) if runs(owner, name, keywords)
    ]


def runs(owner: str, name: str, keywords: Mapping[str, ast.expr]) -> bool:
    if owner == "torch" and name == "load":
        return not is_constant(keywords.get("weights_only"), True)
    if "allow_pickle" in keywords:
        return not is_constant(keywords["allow_pickle"], False)
    return name in METHODS or owner in PICKLES or (owner == "" and name in BUILT_IN)


def is_constant(value: ast.expr | None, expected: object) -> bool:
    return isinstance(value, ast.Constant) and value.value is expected


@pytest.mark.clause("10.6.3")
@pytest.mark.parametrize("room", PRODUCT)
def test_nothing_in_the_product_runs_what_data_says(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): offences(path.read_text(encoding="utf-8")) for path in (ROOT / room).rglob("*.py")
    }
    assert found
    assert {path: bad for path, bad in found.items() if bad} == {}


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text)",
        "pickle.loads(data)",
        "pickle.Unpickler(file).load()",
        "socket.recv_pyobj()",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "yaml.unsafe_load(text)",
    ],
)
def test_offence_is_found(line: str) -> None:
    assert offences(line)


@pytest.mark.parametrize(
    "line",
    ["network.eval()", "re.compile(text)", "np.load(path, allow_pickle=False)", "torch.load(p, weights_only=True)"],
)
def test_harmless_call_is_none(line: str) -> None:
    assert offences(line) == []
