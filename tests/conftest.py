"""Properties are drawn the same way every time in `make test`, so that a run speaks of the change under test alone.

`make fuzz` draws them anew each time (`--hypothesis-profile anew`) and prints how to repeat what it finds.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes says something about the machine, not about weft.
_ANY_MACHINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}

settings.register_profile("same", derandomize=True, database=None, **_ANY_MACHINE)
settings.register_profile("anew", **_ANY_MACHINE)
settings.load_profile("same")
