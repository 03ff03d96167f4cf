"""What needs no root: interfaces that are no pod's. (Real veths: tests/bpf/test_hooks.py.)"""

from __future__ import annotations

import pytest

from agent.datapath import linkends
from agent.datapath.links import LinkError


def test_an_interface_that_is_no_veth_has_no_other_end() -> None:
    assert linkends.veth(1) is None


def test_an_interface_that_is_gone_is_an_error() -> None:
    with pytest.raises(LinkError, match="No such device"):
        linkends.veth(999_999)
