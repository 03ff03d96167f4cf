"""The bytes of a map entry as fields by name, for `weft map dump`. Reads layouts; knows no map and no kernel."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any

from agent.datapath.mapnames import MapShape
from agent.datapath.tables import address_of

_ADDRESSES = frozenset({"addr", "addr4", "addr6", "saddr", "daddr"})
_TEXTS = frozenset({"name"})


def fields_of(shape: type[Any] | int, raw: bytes) -> dict[str, object]:
    """Every field but padding; addresses and names become text, several numbers a list. A type may know better."""
    if isinstance(shape, int):
        return {"value": int.from_bytes(raw[:shape], "little")}
    if hasattr(shape, "fields"):
        return dict(shape.unpack(raw).fields())
    layout: type[ctypes.Structure] = getattr(shape, "LAYOUT", shape)
    values = layout.from_buffer_copy(raw)
    named: dict[str, object] = {}
    for field in layout._fields_:
        name, value = field[0], getattr(values, field[0])
        if name == "pad":
            continue
        if isinstance(value, int):
            named[name] = value
        elif value._type_ is not ctypes.c_uint8:
            named[name] = list(value)
        elif name in _ADDRESSES:
            named[name] = str(address_of(value))
        else:
            named[name] = bytes(value).rstrip(b"\0").decode() if name in _TEXTS else bytes(value).hex()
    return named


def pack(shape: type[Any] | int, item: Any) -> bytes:
    """Bytes of a key or value: a number, a type of tables.py, or a ctypes structure."""
    if isinstance(shape, int):
        return int(item).to_bytes(shape, "little")
    return bytes(item.pack()) if hasattr(shape, "unpack") else bytes(item)


def unpack(shape: type[Any] | int, raw: bytes) -> Any:
    if isinstance(shape, int):
        return int.from_bytes(raw[:shape], "little")
    return shape.unpack(raw) if hasattr(shape, "unpack") else shape.from_buffer_copy(raw)


def entry_of(shape: MapShape, key: bytes, value: bytes) -> tuple[dict[str, object], dict[str, object]]:
    """Key and value by field. A per-CPU value comes as one value per CPU, each of whole 8 bytes, and is summed."""
    if not shape.per_cpu:
        return fields_of(shape.key, key), fields_of(shape.value, value)
    size = shape.value if isinstance(shape.value, int) else ctypes.sizeof(getattr(shape.value, "LAYOUT", shape.value))
    step = (size + 7) // 8 * 8
    total: Counter[str] = Counter()
    for start in range(0, len(value), step):
        numbers = fields_of(shape.value, value[start : start + size])
        total.update({name: number for name, number in numbers.items() if isinstance(number, int)})
    return fields_of(shape.key, key), dict(total)
