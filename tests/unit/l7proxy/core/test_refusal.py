from __future__ import annotations

from l7proxy.core.refusal import MessageError, RequestRefused, ResponseBroken


def test_both_parties_faults_are_message_errors_with_a_reason() -> None:
    assert isinstance(RequestRefused("a"), MessageError)
    assert isinstance(ResponseBroken("b"), MessageError)
    assert (RequestRefused("a").status, RequestRefused("a", 431).status, str(ResponseBroken("b"))) == (400, 431, "b")
