"""The plain data inside a pickle, without running it.

A pickle is a program for a small stack machine. Here the program is read by `pickletools`, which
only splits it into operations, and carried out on plain data: an operation or a global that is not
listed is refused by name, and nothing is ever imported. In: the stream and the table of globals
that may be named; out: dicts, lists, tuples, strings, numbers, and what the table's functions
build.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NoReturn

from ghostkit.errors import CheckpointError, one_line
from ghostkit.train.files.plain_data import Attributes, Global, Rules, check_plain

MAX_OPERATIONS = 2_000_000  # a GhostNet checkpoint with its optimizer has about 30,000
MAX_COPIED = 1_000_000  # characters and items that all calls together are given

_MARK = object()

_PUSH_ARGUMENT = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "LONG4",
    "BINFLOAT",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
    "SHORT_BINSTRING",
    "BINSTRING",
    "SHORT_BINBYTES",
    "BINBYTES",
    "BINBYTES8",
}
_PUSH_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_PUSH_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_TUPLE_OF = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NOTHING_TO_DO = {"PROTO", "FRAME", "STOP"}


def read_pickle(stream: io.BytesIO, rules: Rules) -> Any:
    """The value of the pickle that starts at the stream's position, which then is behind it.

    Raises:
        CheckpointError: damaged, too large, or it asks for an operation or global not allowed.
    """
    machine = _Machine(rules)
    operations = pickletools.genops(stream)
    for _ in range(MAX_OPERATIONS):
        try:
            operation, argument, _ = next(operations, (None, None, None))
        except Exception as error:  # genops raises whatever its decoders of damaged bytes do
            raise CheckpointError(f"{rules.source} is damaged: {_said(error)}") from error
        if operation is None:
            value = machine.pop()
            check_plain(value, rules)
            return value
        machine.step(operation.name, argument)
    raise CheckpointError(f"{rules.source} has more than {MAX_OPERATIONS:,} operations")


class _Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def step(self, name: str, argument: Any) -> None:
        if name in _PUSH_ARGUMENT:
            self.stack.append(argument)
        elif name in _PUSH_CONSTANT:
            self.stack.append(_PUSH_CONSTANT[name])
        elif name in _PUSH_EMPTY:
            self.stack.append(_PUSH_EMPTY[name]())
        elif name in _TUPLE_OF:
            self.stack.append(tuple(reversed([self.pop() for _ in range(_TUPLE_OF[name])])))
        elif name in _NOTHING_TO_DO:
            pass
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            named = f" ({argument[:120]})" if isinstance(argument, str) else ""
            raise CheckpointError(
                f"refuses the operation {name}{named} in {self.rules.source}: "
                "no file that torch.save writes has it"
            )

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            self.damaged("takes a value from an empty stack")
        return self.stack.pop()

    def top(self, kind: type, use: str) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            self.damaged(f"{use} something that is not a {kind.__name__}")
        return self.stack[-1]

    def mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self.stack and self.stack[-1] is not _MARK:
            items.append(self.stack.pop())
        if not self.stack:
            self.damaged("looks for a mark that is not there")
        self.stack.pop()
        return items[::-1]

    def tuple_to_mark(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def append(self, _: Any) -> None:
        item = self.pop()
        self.top(list, "appends to").append(item)

    def appends(self, _: Any) -> None:
        items = self.pop_to_mark()
        self.top(list, "appends to").extend(items)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.put_all([key, value])

    def set_items(self, _: Any) -> None:
        self.put_all(self.pop_to_mark())

    def put_all(self, items: list[Any]) -> None:
        target = self.top(dict, "sets a key of")
        if len(items) % 2:
            self.damaged("sets a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # hashing a deep tuple would overflow the C stack
            if not isinstance(key, str | int | float | bytes | None):
                self.damaged(f"has a {type(key).__name__} as a key")
            target[key] = value

    def global_(self, argument: Any) -> None:
        self.push_global(*str(argument).split(" ", 1))  # genops joins module and name by a space

    def stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            self.damaged("names a global by something that is not text")
        self.push_global(module, name)

    def push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full in self.rules.constants:
            self.stack.append(self.rules.constants[full])
        elif full in self.rules.globals:
            self.stack.append(Global(full, self.rules.globals[full]))
        else:
            raise CheckpointError(
                f"refuses {full[:120]} in {self.rules.source}: weights need no such thing, and "
                "unpickling it could run code; if you trust the file, load it with torch yourself "
                "and save its state_dict alone"
            )

    def call(self, _: Any) -> None:
        arguments = self.pop()
        function = self.top(Global, "calls")
        if not isinstance(arguments, tuple):
            self.damaged(f"calls {function.name} without a tuple")
        self.count_copies(arguments)
        try:
            self.stack[-1] = function.build(*arguments)
        except CheckpointError:
            raise
        except Exception as error:  # wrong number or kinds of arguments: theirs, not ours
            said = f"cannot build {function.name}: {_said(error)}"
            raise CheckpointError(f"{self.rules.source}: {said}") from error

    def set_state(self, _: Any) -> None:
        state = self.pop()
        target = self.top(dict, "sets the state of")
        if isinstance(target, Attributes):
            if not isinstance(state, dict):
                self.damaged("sets attributes from something that is not a dict")
            self.count_copies((state,))
            target.update(state)
        # any other dict is an OrderedDict; the state is its `_metadata`, which nothing here needs

    def count_copies(self, arguments: tuple[Any, ...]) -> None:
        """One remembered value copied by many calls must not fill the memory."""
        sized = (
            value for value in arguments if isinstance(value, str | bytes | tuple | list | dict)
        )
        self.copied += sum(len(value) for value in sized)
        if self.copied > MAX_COPIED:
            self.damaged("copies too much")

    def put(self, index: Any) -> None:
        if not self.stack or self.stack[-1] is _MARK:
            self.damaged("remembers a value from an empty stack")
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def get(self, index: Any) -> None:
        if index not in self.memo:
            self.damaged(f"recalls value {index}, which it never stored")
        self.stack.append(self.memo[index])

    def persistent(self, _: Any) -> None:
        self.stack.append(self.rules.persistent(self.pop()))

    def damaged(self, what: str) -> NoReturn:
        raise CheckpointError(f"{self.rules.source} is damaged: it {what}")


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple_to_mark,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.set_state,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "BINPERSID": _Machine.persistent,
}


def _said(error: Exception) -> str:
    return one_line(error) or type(error).__name__
