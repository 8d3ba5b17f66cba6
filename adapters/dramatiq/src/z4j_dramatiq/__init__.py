# SPDX-License-Identifier: Apache-2.0
"""Reports Dramatiq tasks to z4j. One line where the broker is created:

    import z4j_dramatiq
    z4j_dramatiq.install(broker)

Without `Z4J_URL` in the environment it does nothing. It never raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from z4j_agent.capture import hooks

if TYPE_CHECKING:
    from z4j_dramatiq.adapter import DramatiqAdapter

__all__ = ["install", "uninstall"]

OLDEST = (1, 17)


def install(broker: Any = None, **settings: Any) -> None:
    """Monitors this broker, by default Dramatiq's global one. `settings` are those of `z4j_agent.start`.

    It may be called before or after the actors are declared. A second call for the same broker has no effect.
    """
    _installation.install(broker, **settings)


def uninstall(broker: Any = None) -> None:
    """Removes the hooks: Dramatiq behaves as if this package had never been installed. Without a broker, stops monitoring all of them."""
    _installation.uninstall(broker)


def _load() -> type[DramatiqAdapter]:
    from z4j_dramatiq.adapter import DramatiqAdapter

    return DramatiqAdapter


def _real(broker: Any) -> Any:
    import dramatiq

    return dramatiq.get_broker() if broker is None else broker


_installation = hooks.Installation("Dramatiq", "dramatiq:__version__", OLDEST, _load, real=_real)
