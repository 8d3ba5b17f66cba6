# SPDX-License-Identifier: Apache-2.0
"""Reports Dramatiq tasks to z4j. One line where the broker is made:

    import z4j_dramatiq
    z4j_dramatiq.install(broker)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent import hooks

if TYPE_CHECKING:
    from z4j_dramatiq.adapter import DramatiqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (1, 17)
_adapters: dict[int, DramatiqAdapter] = {}


def install(broker: Any = None, **settings: Any) -> None:
    """Watches this broker, by default Dramatiq's global one. `settings` are those of `z4j_agent.start`.

    Before or after the actors are declared makes no difference. Calling it twice for one broker does nothing more.
    """

    def version() -> str:
        import dramatiq

        return str(dramatiq.__version__)

    def make() -> DramatiqAdapter:
        import dramatiq

        from z4j_dramatiq.adapter import DramatiqAdapter

        return DramatiqAdapter(dramatiq.get_broker() if broker is None else broker)

    known = _adapters.get(id(broker))
    if known is not None and known.capture.is_connected:  # `z4j_agent.stop` takes the hooks away, too
        return
    adapter = hooks.install("Dramatiq", version, OLDEST, make, settings)
    if adapter is not None:
        _adapters[id(adapter.broker)] = adapter


def uninstall(broker: Any = None) -> None:
    """Dramatiq behaves again as if this package had never been there. Without a broker: every one that is watched."""
    for key in [id(broker)] if broker is not None else list(_adapters):
        adapter = _adapters.pop(key, None)
        if adapter is not None:
            adapter.uninstall()
