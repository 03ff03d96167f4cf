from __future__ import annotations

from pathlib import Path

from l7proxy.config import ProxyConfig
from l7proxy.core.site import Site
from l7proxy.worker import Worker
from tests.support.playbook import FakeSite


def test_worker_and_fake_are_sites() -> None:
    """What the core asks of a site is there in both; mypy holds the types."""
    sites: list[Site] = [FakeSite(), Worker(ProxyConfig(agent_socket=Path("/nowhere")))]
    for site in sites:
        assert all(
            hasattr(site, name) for name in (*Site.__annotations__, "renew", "open", "release", "discard", "reset")
        )
