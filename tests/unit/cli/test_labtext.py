"""lab status in words."""

from __future__ import annotations

from cli.labtext import names, shown

ANSWER: dict[str, object] = {
    "components": [
        {"component": "controller", "node": "", "pid": 10, "workers": [], "state": "running"},
        {"component": "proxy", "node": "node-1", "pid": 12, "workers": [13, 14], "state": "running"},
    ],
    "pods": [
        {"namespace": "shop", "name": "client", "node": "node-1", "ips": ["10.1.0.2", "fd00:1::2"], "phase": "Running"},
    ],
}


def test_components_and_pods_fit_eighty_columns() -> None:
    assert shown(ANSWER, lab="default", colour=False, width=80).splitlines() == [
        "Lab default",
        "",
        "COMPONENT   NODE    STATE    PID  WORKERS",
        "controller  -       running   10  -",
        "proxy       node-1  running   12  13,14",
        "",
        "NAMESPACE  POD     NODE    PHASE    IP",
        "shop       client  node-1  Running  10.1.0.2",
    ]


def test_wide_has_every_address_however_narrow_the_terminal() -> None:
    assert "10.1.0.2,fd00:1::2" in shown(ANSWER, lab="default", colour=False, width=40, wide=True)


def test_names_are_pods() -> None:
    assert names(ANSWER) == ["shop/client"]
