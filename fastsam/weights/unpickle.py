"""A pickle machine for YOLO checkpoints: it builds data and networks, and calls nothing that a file names.

An allow-list in ``torch.load(weights_only=True)`` is not enough for whole networks. It lets the file *call*
each allowed class with arguments of its choice, and ``SegmentationModel({"activation": "<Python>"})``
evaluates that string; attributes of a network (hooks, ``forward``) may hold callables that run at the first
image; and the list is shared by the whole process. Here

* a name in the file is a symbol; only this machine knows what it stands for, and it never becomes a value;
* network layers are made empty and then given their attributes: no constructor runs;
* the few calls that checkpoints need are functions of this file, which check their arguments;
* objects that running a network does not need (losses) become :class:`Dropped`;
* afterwards every attribute of every layer must be plain data, and every hook list empty;
* storages must have the size that the file claims, and tensors must lie inside their storage.
"""

from __future__ import annotations

import pathlib
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from struct import calcsize, unpack
from typing import TYPE_CHECKING, Any

from fastsam.needed import needed
from fastsam.weights.allowed_names import (
    DamagedPickleError,
    Dropped,
    Method,
    NumpyType,
    Storage,
    Symbol,
    UnsafePickleError,
    hashable,
    lookup,
)

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DamagedPickleError", "UnsafePickleError", "unpickle"]

_MAX_DEPTH = 32
_MAX_LAYERS = 100_000


# The operations of pickle protocol 2, which torch.save writes, and how their arguments are stored.
_ARGUMENTS: dict[str, str] = {
    "BININT": "<i", "BININT1": "<B", "BININT2": "<H", "BINFLOAT": ">d", "BINUNICODE": "text", "LONG1": "long",
    "NONE": "", "NEWTRUE": "", "NEWFALSE": "", "EMPTY_TUPLE": "", "EMPTY_LIST": "", "EMPTY_DICT": "",
    "MARK": "", "TUPLE": "", "TUPLE1": "", "TUPLE2": "", "TUPLE3": "", "APPEND": "", "APPENDS": "",
    "SETITEM": "", "SETITEMS": "", "BINPUT": "<B", "LONG_BINPUT": "<I", "BINGET": "<B", "LONG_BINGET": "<I",
    "GLOBAL": "name", "NEWOBJ": "", "REDUCE": "", "BUILD": "", "BINPERSID": "", "PROTO": "<B", "STOP": "",
}  # fmt: skip
_PUSH_ARGUMENT = frozenset({"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "LONG1"})
_PUSH_NEW: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict,
}  # fmt: skip
_CODES = {ord(operation.code): operation.name for operation in pickletools.opcodes}


def _operations(pickled: bytes) -> Iterator[tuple[str, Any]]:
    """Yield each operation up to STOP, with its argument."""
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        if count < 0 or at + count > len(pickled):
            raise DamagedPickleError("it ends too early")
        at += count
        return pickled[at - count : at]

    def line() -> str:
        return take(pickled.find(b"\n", at) + 1 - at)[:-1].decode()

    while True:
        code = take(1)[0]
        operation = _CODES.get(code, f"0x{code:02x}")
        form = _ARGUMENTS.get(operation)
        if form is None:
            raise UnsafePickleError(f"pickle operation {operation}")
        if form == "text":
            yield operation, take(unpack("<I", take(4))[0]).decode("utf-8", "surrogatepass")
        elif form == "long":
            yield operation, int.from_bytes(take(take(1)[0]), "little", signed=True)
        elif form == "name":
            yield operation, f"{line()}.{line()}"
        elif form:
            yield operation, unpack(form, take(calcsize(form)))[0]
        elif operation == "STOP":
            return
        else:
            yield operation, None


class _Machine:
    """Stack, marks and memo of one pickle; each ``do_*`` method is one pickle operation."""

    def __init__(self, read_record: Callable[[str], bytes]) -> None:
        with needed("torch", "read checkpoints"):
            import torch
        with needed("ultralytics", "read YOLO checkpoints"):
            from ultralytics.utils import IterableSimpleNamespace
        self.torch, self.namespace = torch, IterableSimpleNamespace
        self.read_record = read_record
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.layers: list[nn.Module] = []
        self.namespaces: list[Any] = []

    def run(self, pickled: bytes) -> Any:
        """Carry out a pickle and return its object."""
        steps = {name[3:].upper(): getattr(self, name) for name in dir(self) if name.startswith("do_")}
        for operation, argument in _operations(pickled):
            if operation in _PUSH_ARGUMENT:
                self.stack.append(argument)
            elif operation in _PUSH_NEW:
                self.stack.append(_PUSH_NEW[operation]())
            else:
                steps[operation](argument)
        content = self.stack.pop()
        if self.stack or self.marks:
            raise DamagedPickleError("objects are left over at its end")
        return content

    def do_proto(self, version: int) -> None:
        """Pass over the version; the operations say it all."""

    def do_global(self, name: str) -> None:
        """Push what a name stands for."""
        self.stack.append(lookup(name))

    def do_newobj(self, _: None) -> None:
        """Make an empty layer."""
        arguments, made = self.stack.pop(), self.stack.pop()
        if type(made) is Symbol and made.kind == "dropped":
            self.stack.append(Dropped())
        elif type(made) is Symbol and made.kind == "layer" and type(arguments) is tuple and not arguments:
            layer = made.value.__new__(made.value)
            self.layers.append(layer)
            self.stack.append(layer)
        else:
            raise UnsafePickleError(f"making {getattr(made, 'name', type(made).__name__)} with arguments")

    def do_reduce(self, _: None) -> None:
        """Call one of the functions above."""
        arguments, called = self.stack.pop(), self.stack.pop()
        if type(called) is Symbol and called.kind == "dropped":
            self.stack.append(Dropped())
            return
        if type(called) is not Symbol or called.kind != "call" or type(arguments) is not tuple:
            raise UnsafePickleError(f"calling {getattr(called, 'name', type(called).__name__)}")
        made = called.value(*arguments)
        if type(made) is self.namespace:
            self.namespaces.append(made)
        self.stack.append(made)

    def do_build(self, _: None) -> None:
        """Give an object its attributes."""
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) is NumpyType:
            built.set_state(state)
        elif type(built) not in (Dropped, OrderedDict):  # the one is empty, the other only has notes of torch
            if type(state) is not dict or not all(type(key) is str for key in state):
                raise DamagedPickleError("attributes that are not a dictionary of names")
            if isinstance(built, self.torch.nn.Module):
                kind: Any = type(built)  # the instance may carry a `__setstate__` of the file
                kind.__setstate__(built, state)
            elif type(built) is self.namespace:
                vars(built).update(state)
            else:
                raise UnsafePickleError(f"attributes for {type(built).__name__}")

    def do_binpersid(self, _: None) -> None:
        """Push a storage, whose record must have the size that the pickle claims."""
        match self.stack.pop():
            case ("storage", Symbol(kind="storage", value=dtype), str(key), str(), int(count)):
                pass
            case _:
                raise UnsafePickleError("a persistent id that is not a storage")
        if key not in self.storages:
            raw = bytearray(self.read_record(key))
            flat = self.torch.frombuffer(raw, dtype=dtype) if raw else self.torch.empty(0, dtype=dtype)
            self.storages[key] = Storage(flat)
        flat = self.storages[key].flat
        if flat.dtype != dtype or flat.numel() != count:
            raise DamagedPickleError(
                f"storage {key[:20]}: {count} {dtype} claimed, {flat.numel()} {flat.dtype} found"
            )
        self.stack.append(self.storages[key])

    def do_mark(self, _: None) -> None:
        """Start a group."""
        self.marks.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """End a group."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def do_tuple(self, _: None) -> None:
        """Push the group as a tuple."""
        items = self.group()
        self.stack.append(tuple(items))

    def do_tuple1(self, _: None) -> None:
        """Push the last object as a tuple."""
        self.stack[-1:] = [(self.stack[-1],)]

    def do_tuple2(self, _: None) -> None:
        """Push the last two objects as a tuple."""
        self.stack[-2:] = [(self.stack[-2], self.stack[-1])]

    def do_tuple3(self, _: None) -> None:
        """Push the last three objects as a tuple."""
        self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]

    def extend(self, items: list[Any]) -> None:
        """Add to the list below."""
        if type(self.stack[-1]) is Dropped:
            return
        if type(self.stack[-1]) is not list:
            raise UnsafePickleError(f"adding to {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def do_append(self, _: None) -> None:
        """Add one object to a list."""
        self.extend([self.stack.pop()])

    def do_appends(self, _: None) -> None:
        """Add a group to a list."""
        self.extend(self.group())

    def assign(self, items: list[Any]) -> None:
        """Add keys and values to the dictionary below."""
        if type(self.stack[-1]) is Dropped:
            return
        if type(self.stack[-1]) not in (dict, OrderedDict):
            raise UnsafePickleError(f"setting an item of {type(self.stack[-1]).__name__}")
        if not hashable(items[::2]):
            raise DamagedPickleError("dictionary keys that are neither text nor numbers")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def do_setitem(self, _: None) -> None:
        """Add one key to a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self.assign([key, value])

    def do_setitems(self, _: None) -> None:
        """Add a group of keys to a dictionary."""
        self.assign(self.group())

    def do_binput(self, index: int) -> None:
        """Remember the last object."""
        self.memo[index] = self.stack[-1]

    def do_binget(self, index: int) -> None:
        """Push a remembered object."""
        self.stack.append(self.memo[index])

    do_long_binput = do_binput
    do_long_binget = do_binget

    def settle(self) -> None:
        """Check all layers and namespaces after the last operation.

        Only now, because a file may go on changing a dictionary that it has given away already.
        """
        for layer in self.layers:
            self._settle_layer(layer)
        for namespace in self.namespaces:
            for name, value in vars(namespace).items():
                self._plain(value, f"settings.{name}")
        measured: dict[int, tuple[int, int]] = {}
        for layer in self.layers:
            _extent(layer, measured, 0)

    def _settle_layer(self, layer: nn.Module) -> None:
        """Check one layer, drop what it does not need, and put back the methods that layers keep."""
        kind = type(layer).__name__
        attributes = vars(layer)
        nn = self.torch.nn
        wanted = {"_modules": nn.Module, "_parameters": nn.Parameter, "_buffers": self.torch.Tensor}
        for place, of in wanted.items():
            held: Any = attributes.get(place)
            if type(held) not in (dict, OrderedDict):
                raise DamagedPickleError(f"layer {kind} without {place}")
            for name, value in list(held.items()):
                if type(value) is Dropped:
                    del held[name]
                elif type(name) is not str or not (value is None or isinstance(value, of)):
                    raise DamagedPickleError(f"layer {kind} with {type(value).__name__} among its {place}")
        for name, value in list(attributes.items()):
            if name in wanted:
                continue
            if name.startswith("_") and "hooks" in name and value:
                raise UnsafePickleError(f"a hook on layer {kind}")
            if type(value) is Dropped:
                del attributes[name]
            elif type(value) is Method:
                attributes[name] = self._settle_method(layer, name, value)
            else:
                self._plain(value, f"{kind}.{name}")

    def _settle_method(self, layer: nn.Module, name: str, method: Method) -> Any:
        """Return the method for the places where YOLO layers keep one."""
        if name == "detect" and type(method.owner) is Symbol and method.name == "forward":
            return method.owner.value.forward  # heads of ultralytics < 8.1: Segment.detect is Detect.forward
        bound = getattr(type(layer), method.name, None)
        if name == "forward" and method.owner is layer and bound is not None:
            return bound.__get__(layer)  # a fused layer: forward is its forward_fuse
        of_class = type(method.owner) is Symbol and method.owner.value is type(layer)
        if name == "forward" and of_class and isinstance(vars(type(layer)).get(method.name), staticmethod):
            return bound  # a fused head of YOLOE
        raise UnsafePickleError(f"keeping a method as {type(layer).__name__}.{name}")

    def _plain(self, value: Any, where: str) -> None:
        """Refuse a value that is or holds anything but data."""
        torch = self.torch
        plain = {
            type(None), bool, int, float, complex, str, bytes, Dropped, pathlib.PurePosixPath, self.namespace,
            torch.Tensor, torch.nn.Parameter, torch.Size, torch.device, torch.dtype,
        }  # fmt: skip
        waiting, seen = [value], set()
        while waiting:
            item = waiting.pop()
            if type(item) in (list, tuple, set):
                inside: list[Any] = list(item)
            elif type(item) in (dict, OrderedDict):
                inside = [*item.keys(), *item.values()]
            elif type(item) in plain:
                continue
            else:
                raise UnsafePickleError(f"{type(item).__name__} as {where}")
            if id(item) not in seen:
                seen.add(id(item))
                waiting += inside


def _extent(layer: nn.Module, measured: dict[int, tuple[int, int]], level: int) -> tuple[int, int]:
    """Return how deep and how many the layers below are, counting shared ones each time torch visits them.

    Raises:
        DamagedPickleError: a layer holds itself, or walking the layers would take forever.
    """
    if id(layer) not in measured:
        depth, count = 0, 0
        children = [child for child in layer._modules.values() if child is not None]
        for child in children if level <= _MAX_DEPTH else ():
            below = _extent(child, measured, level + 1)
            depth, count = max(depth, below[0]), count + below[1]
        if level > _MAX_DEPTH or depth >= _MAX_DEPTH or count >= _MAX_LAYERS:
            raise DamagedPickleError("layers that hold themselves, or hold others too deep")
        measured[id(layer)] = depth + 1, count + 1
    return measured[id(layer)]


def unpickle(pickled: bytes, read_record: Callable[[str], bytes]) -> Any:
    """Return the object of a YOLO checkpoint's pickle without running what it asks for.

    Args:
        pickled: the ``data.pkl`` of the archive.
        read_record: gives the bytes of storage ``key``; raises KeyError where there is none.

    Raises:
        UnsafePickleError: it names or does something that is not on the list; the message says what.
        DamagedPickleError: it contradicts itself or ends too early.
    """
    machine = _Machine(read_record)
    try:
        content = machine.run(pickled)
        machine.settle()
    except (UnsafePickleError, DamagedPickleError):
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise DamagedPickleError(f"{type(error).__name__}: {error}") from error
    return content
