"""The pinned maps keep the same promises as the fake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.datapath.interface import Tables
from agent.datapath.kernel import KernelDatapath
from tests.support.datapathcontract import TablesContract


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelDatapath]:
    made = KernelDatapath("test-tables")
    made.ensure_loaded()
    yield made
    made.uninstall()


class TestKernelTables(TablesContract):
    @pytest.fixture
    def tables(self, kernel: KernelDatapath) -> Tables:
        return kernel.tables


def test_gauges_have_names(kernel: KernelDatapath) -> None:
    assert set(kernel.gauges()) >= {"events_lost", "redirected", "ct_created"}
