# SPDX-License-Identifier: AGPL-3.0-or-later
"""Evaluates the part of PromQL that the Grafana board uses, over samples of two scrapes.

Selectors with matchers, rate over a range, sum and max by labels, topk, histogram_quantile, time(), numbers, and arithmetic between vectors
of the same labels. Anything else raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client.samples import Sample

TOKEN: Final = re.compile(r'\s*(?:([a-zA-Z_:][a-zA-Z0-9_:]*)|(\d+(?:\.\d+)?[smhd]?)|("(?:[^"\\]|\\.)*")|(=~|!~|!=|[-+*/(){}\[\],=]))')
Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Value = Vector | float


@dataclass(frozen=True)
class Scrapes:
    """Samples now and `seconds` before, and the time now (Unix seconds)."""

    now: list[Sample]
    before: list[Sample]
    seconds: float
    time: float


def evaluate(expression: str, scrapes: Scrapes) -> Value:
    """Returns a vector (with `__name__` for bare selectors left out), or a number. Raises ValueError for what is not understood."""
    parser = _Parser(expression, scrapes)
    value = parser.sum_()
    if parser.tokens:
        raise ValueError(f"not understood: {parser.tokens}")
    return value


def selectors(expression: str) -> list[tuple[str, list[str]]]:
    """Returns the metrics of an expression with the labels that it selects or groups by."""
    found = [
        (match[1], re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", match[2] or "")) for match in re.finditer(r"\b(z4j_\w+)(\{[^}]*\})?", expression)
    ]
    by = [label.strip() for match in re.finditer(r"\bby \(([^)]*)\)", expression) for label in match[1].split(",")]
    return [(name, labels + [label for label in by if label != "le" or name.endswith("_bucket")]) for name, labels in found]


class _Parser:
    def __init__(self, text: str, scrapes: Scrapes) -> None:
        self.scrapes = scrapes
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            match = TOKEN.match(text, at)
            if match is None:
                raise ValueError(f"not understood: {text[at:]}")
            self.tokens.append(match[0].strip())
            at = match.end()

    def take(self, expected: str = "") -> str:
        token = self.tokens.pop(0)
        if expected and token != expected:
            raise ValueError(f"{expected} expected, not {token}")
        return token

    def sum_(self) -> Value:
        value = self.product()
        while self.tokens and self.tokens[0] in "+-":
            value = _combine(self.take(), value, self.product())
        return value

    def product(self) -> Value:
        value = self.atom()
        while self.tokens and self.tokens[0] in "*/":
            value = _combine(self.take(), value, self.atom())
        return value

    def atom(self) -> Value:
        token = self.take()
        if token == "(":
            value = self.sum_()
            self.take(")")
            return value
        if re.fullmatch(r"\d+(\.\d+)?", token):
            return float(token)
        if token == "time":
            self.take("(")
            self.take(")")
            return self.scrapes.time
        if token in ("sum", "max"):
            return self.aggregate(sum if token == "sum" else max)
        if token in ("topk", "histogram_quantile"):
            self.take("(")
            number = self.sum_()
            self.take(",")
            vector = self.sum_()
            self.take(")")
            assert isinstance(number, float)
            assert isinstance(vector, dict)
            return _topk(int(number), vector) if token == "topk" else _quantile(number, vector)
        if token == "rate":
            self.take("(")
            vector = self.rate()
            self.take(")")
            return vector
        return self.select(token, self.scrapes.now, self.matchers())

    def aggregate(self, join: Callable[[Iterable[float]], float]) -> Vector:
        by: list[str] = []
        if self.tokens[0] == "by":
            self.take()
            self.take("(")
            while (token := self.take()) != ")":
                by += [] if token == "," else [token]
        self.take("(")
        vector = self.sum_()
        self.take(")")
        assert isinstance(vector, dict)
        groups: dict[Labels, list[float]] = {}
        for labels, value in vector.items():
            groups.setdefault(frozenset(pair for pair in labels if pair[0] in by), []).append(value)
        return {labels: join(values) for labels, values in groups.items()}

    def matchers(self) -> list[tuple[str, str, str]]:
        found: list[tuple[str, str, str]] = []
        if self.tokens and self.tokens[0] == "{":
            self.take()
            while self.tokens[0] != "}":
                label, operator, text = self.take(), self.take(), self.take()
                found.append((label, operator, text[1:-1]))
                if self.tokens[0] == ",":
                    self.take()
            self.take("}")
        return found

    def rate(self) -> Vector:
        name, matchers = self.take(), self.matchers()
        self.take("[")
        self.take()
        self.take("]")
        now, before = self.select(name, self.scrapes.now, matchers), self.select(name, self.scrapes.before, matchers)
        rises = {labels: value - before[labels] for labels, value in now.items() if labels in before}  # one sample has no rate
        assert all(rise >= 0 for rise in rises.values()), "a counter fell"
        return {labels: rise / self.scrapes.seconds for labels, rise in rises.items()}

    def select(self, name: str, samples: list[Sample], matchers: list[tuple[str, str, str]]) -> Vector:
        tests: dict[str, Callable[[str, str], bool]] = {
            "=": lambda a, b: a == b,
            "!=": lambda a, b: a != b,
            "=~": _matches,
            "!~": lambda a, b: not _matches(a, b),
        }
        return {
            frozenset(sample.labels.items()): float(sample.value)
            for sample in samples
            if sample.name == name and all(tests[operator](sample.labels.get(label, ""), text) for label, operator, text in matchers)
        }


def _matches(value: str, pattern: str) -> bool:
    return re.fullmatch(pattern, value, re.DOTALL) is not None


def _combine(operator: str, left: Value, right: Value) -> Value:
    def apply(a: float, b: float) -> float:
        return a + b if operator == "+" else a - b if operator == "-" else a * b if operator == "*" else a / b if b else math.nan

    if isinstance(left, dict) and isinstance(right, dict):
        return {labels: apply(value, right[labels]) for labels, value in left.items() if labels in right}
    if isinstance(left, dict):
        assert isinstance(right, float)
        return {labels: apply(value, right) for labels, value in left.items()}
    if isinstance(right, dict):
        return {labels: apply(left, value) for labels, value in right.items()}
    return apply(left, right)


def _topk(count: int, vector: Vector) -> Vector:
    return dict(sorted(vector.items(), key=lambda item: -item[1])[:count])


def _quantile(share: float, vector: Vector) -> Vector:
    """As Prometheus: linear within the bucket, the last finite bound for +Inf."""
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in vector.items():
        bound = float(dict(labels)["le"].replace("+Inf", "inf"))
        groups.setdefault(frozenset(pair for pair in labels if pair[0] != "le"), []).append((bound, value))
    found: Vector = {}
    for labels, pairs in groups.items():
        buckets = sorted(pairs)
        assert buckets[-1][0] == math.inf
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), "cumulative"
        rank, low, below = share * buckets[-1][1], 0.0, 0.0
        if not buckets[-1][1]:
            found[labels] = math.nan
            continue
        for bound, count in buckets:
            if count >= rank:
                found[labels] = low if bound == math.inf else low + (bound - low) * (rank - below) / (count - below)
                break
            low, below = bound, count
    return found
