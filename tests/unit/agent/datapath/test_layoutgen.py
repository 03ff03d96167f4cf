"""The generator reads its subset, refuses the rest, and agrees with the host's C compiler about every byte."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from agent.datapath import layoutgen
from agent.datapath.layoutgen import LayoutError, parse
from mesh import layouts

GOOD = """\
/* What it is. */
struct one {
	__u32 a;	/* why */
	__be16 b;
	__u16 pad;
	__u8 addr[16];
};
_Static_assert(sizeof(struct one) == 24, "one");
"""


def test_a_struct_is_read_with_its_comment() -> None:
    (struct,) = parse(GOOD).structs
    assert (struct.name, struct.comment, struct.size) == ("one", "What it is.", 24)
    assert [field.name for field in struct.fields] == ["a", "b", "pad", "addr"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("\t__u16 pad;\n", "").replace("24", "22"), "implicit padding at its end"),
        (GOOD.replace("__u32 a", "__u8 a").replace("24", "21"), "implicit padding before field b"),
        (GOOD.replace("24", "28"), "has 24 bytes, not 28"),
        (GOOD.split("_Static")[0], "not followed by a _Static_assert"),
        (GOOD.replace("__u32 a", "int a"), "not a field of fixed width"),
        (GOOD.replace("__u32 a", "__u32 a:3"), "not a field of fixed width"),
        ("typedef int x;\n", "outside the subset"),
        ("enum e {\n\tA,\n};\n", "NAME = NUMBER"),
        ("struct s {\n\t__u32 a;\n", "no closing brace"),
    ],
)
def test_what_is_outside_the_subset_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(LayoutError, match=message) as caught:
        parse(text)
    assert str(caught.value).startswith("layouts.h")


def test_big_endian_fields_read_as_host_values() -> None:
    key = layouts.ServiceKey(port=8080)
    assert bytes(key)[16:18] == (8080).to_bytes(2, "big")


def test_the_checked_in_file_is_fresh() -> None:
    assert layoutgen.main(["--check"]) == 0


def test_the_c_compiler_agrees_about_every_field(tmp_path: Path) -> None:
    """Needs cc (Debian: gcc), which the make targets install."""
    rows = [
        f'printf("{name}.{field[0]} %zu %zu\\n", '
        f"offsetof(struct {name}, {field[0]}), sizeof(((struct {name} *)0)->{field[0]}));"
        for name, layout in layouts.STRUCTS.items()
        for field in layout._fields_
    ]
    program = tmp_path / "probe.c"
    body = "\n".join(rows)
    program.write_text(
        f'#include <linux/types.h>\n#include <stddef.h>\n#include <stdio.h>\n#include "{layoutgen.HEADER}"\n'
        f"int main(void) {{\n{body}\nreturn 0;\n}}\n"
    )
    subprocess.run(["cc", "-o", tmp_path / "probe", program], check=True)
    said = subprocess.run([tmp_path / "probe"], capture_output=True, text=True, check=True).stdout
    ours = {
        f"{name}.{field[0]} {getattr(layout, field[0]).offset} {getattr(layout, field[0]).size}"
        for name, layout in layouts.STRUCTS.items()
        for field in layout._fields_
    }
    assert set(said.splitlines()) == ours
    assert ctypes.sizeof(layouts.FlowEvent) == 88
