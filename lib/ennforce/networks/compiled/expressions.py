"""Functions of a few numbers at one site, as C for their values and, by the chain rule backwards, for their gradients.

An activation acts on each copy and group element by itself, so it is a function of the few components that these have, and of a few
weights of the copy. It is written once, with the operators of ``Value``; both C functions are made from that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Operation = tuple[str, tuple[int, ...], float]


class Expressions:
    """A list of operations, each on results of earlier ones; equal ones are made once."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._known: dict[Operation, int] = {}

    def value(self, operation: str, *arguments: Value, number: float = 0.0) -> Value:
        entry = (operation, tuple(argument.position for argument in arguments), number)
        if entry not in self._known:
            self._known[entry] = len(self.operations)
            self.operations.append(entry)
        return Value(self, self._known[entry])

    def input(self, number: int) -> Value:
        return self.value("input", number=number)

    def weight(self, number: int) -> Value:
        return self.value("weight", number=number)

    def constant(self, number: float) -> Value:
        return self.value("constant", number=number)

    def adjoint(self, outputs: Sequence[Value], seeds: Sequence[Value]) -> dict[int, Value]:
        """d(sum of outputs times seeds) by every operation, as further operations, by position."""
        last = max(output.position for output in outputs)
        found: dict[int, Value] = {}

        def give(position: int, value: Value) -> None:
            found[position] = found[position] + value if position in found else value

        for output, seed in zip(outputs, seeds, strict=True):
            give(output.position, seed)
        for position in range(last, -1, -1):
            if position not in found:
                continue
            operation, arguments, number = self.operations[position]
            result, above = Value(self, position), found[position]
            x, y = (Value(self, arguments[n]) if n < len(arguments) else result for n in (0, 1))
            if operation == "add":
                give(x.position, above)
                give(y.position, above)
            elif operation == "sub":
                give(x.position, above)
                give(y.position, above * -1.0)
            elif operation == "mul":
                give(x.position, above * y)
                give(y.position, above * x)
            elif operation == "scale":
                give(x.position, above * number)
            elif operation == "sigmoid":
                give(x.position, above * (result - result * result))
            elif operation == "rsqrt":
                give(x.position, above * (result * result * result) * -0.5)
        return found

    def tangents(self, outputs: Sequence[Value], inputs: Sequence[Value], directions: Sequence[Value]) -> list[Value]:
        """The derivatives of ``outputs`` as the ``inputs`` move in ``directions``, as further operations."""
        found = {one.position: direction for one, direction in zip(inputs, directions, strict=True)}
        for position in range(max(output.position for output in outputs) + 1):
            operation, arguments, number = self.operations[position]
            result, values = Value(self, position), [Value(self, n) for n in arguments]
            parts = []
            for n, argument in enumerate(arguments):
                moved = found.get(argument)
                if moved is None:
                    continue
                if operation == "mul":
                    moved = moved * values[1 - n]
                elif operation == "sigmoid":
                    moved = moved * (result - result * result)
                elif operation == "rsqrt":
                    moved = moved * (result * result * result) * -0.5
                elif operation == "scale":
                    moved = moved * number
                elif operation == "sub" and n == 1:
                    moved = moved * -1.0
                parts.append(moved)
            if parts:
                found[position] = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return [found.get(output.position, self.constant(0.0)) for output in outputs]

    def source(self, outputs: dict[str, Value]) -> list[str]:
        """C statements that compute what ``outputs`` name (an lvalue each); an unused operation is left out."""
        needed, waiting = set(), [value.position for value in outputs.values()]
        while waiting:
            position = waiting.pop()
            if position not in needed:
                needed.add(position)
                waiting += self.operations[position][1]
        lines: list[str] = []
        done: set[int] = set()
        for position in sorted(needed):
            if position in done:
                continue
            done.add(position)
            operation, arguments, number = self.operations[position]
            if operation == "sigmoid":
                # Two at once share one division.
                other = next((p for p in sorted(needed - done) if self._ready(p, done)), None)
                names = [f"e{position}", f"e{other}" if other is not None else f"unused{position}"]
                second = self.operations[other][1][0] if other is not None else arguments[0]
                lines += [f"pair {names[0]}, {names[1]};", f"sigmoids(e{arguments[0]}, e{second}, &{names[0]}, &{names[1]});"]
                done |= {other} if other is not None else set()
                continue
            lines.append(f"pair e{position} = {_text(operation, arguments, number)};")
        return lines + [f"{name} = e{value.position};" for name, value in outputs.items()]

    def _ready(self, position: int, done: set[int]) -> bool:
        operation, arguments, _ = self.operations[position]
        return operation == "sigmoid" and set(arguments) <= done


class Value:
    """One of the numbers of ``Expressions``."""

    def __init__(self, graph: Expressions, position: int) -> None:
        self.graph, self.position = graph, position

    def __add__(self, other: Value) -> Value:
        return self.graph.value("add", self, other)

    def __sub__(self, other: Value) -> Value:
        return self.graph.value("sub", self, other)

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return self.graph.value("mul", self, other)
        return self if other == 1.0 else self.graph.value("scale", self, number=float(other))

    def sigmoid(self) -> Value:
        return self.graph.value("sigmoid", self)

    def silu(self) -> Value:
        return self * self.sigmoid()

    def rsqrt(self) -> Value:
        return self.graph.value("rsqrt", self)


Function = Callable[[Expressions, list[Value]], list[Value]]


def functions(name: str, function: Function, inputs: int) -> tuple[str, int]:
    """C of ``name``(x, w, y) and of its gradient ``name``_adjoint(x, w, dy, dx, dw), and the number of weights.

    ``dw`` gains what every lane contributes to the gradient by the weights, where it is none nothing.
    """
    graph = Expressions()
    values = [graph.input(n) for n in range(inputs)]
    outputs = function(graph, values)
    weights = sorted(int(number) for operation, _, number in graph.operations if operation == "weight")
    forward = graph.source({f"y[{n}]": value for n, value in enumerate(outputs)})
    seeds = [graph.value("seed", number=n) for n in range(len(outputs))]
    found = graph.adjoint(outputs, seeds)
    zero = graph.constant(0.0)
    targets = {f"dx[{n}]": found.get(value.position, zero) for n, value in enumerate(values)}
    slopes = {f"pair s{n}": found[graph.weight(n).position] for n in weights}
    backward = graph.source({**targets, **slopes}) + [f"if (dw) dw[{n}] += total(s{n});" for n in weights]
    return "\n".join([
        f"static inline void {name}(const pair *x, const float *w, pair *y) {{", *(f"    {line}" for line in forward), "}",
        f"static inline void {name}_adjoint(const pair *x, const float *w, const pair *dy, pair *dx, vec *dw) {{",
        *(f"    {line}" for line in backward), "}",
    ]), len(weights)  # fmt: skip


def _text(operation: str, arguments: tuple[int, ...], number: float) -> str:
    names = [f"e{argument}" for argument in arguments]
    if operation in ("input", "weight", "seed"):
        return {"input": "x[{}]", "weight": "all(w[{}])", "seed": "dy[{}]"}[operation].format(int(number))
    if operation == "constant":
        return f"all({number!r}f)"
    if operation == "scale":
        return f"scale({number!r}f, {names[0]})"
    return f"{operation}({', '.join(names)})"
