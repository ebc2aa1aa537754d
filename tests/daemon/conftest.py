"""The service's fixtures; they lie one folder up, for tests of the client and of the daemon."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from service_fixtures import dealer, engine_service, service, shared_state, state  # noqa: E402

__all__ = ["dealer", "engine_service", "service", "shared_state", "state"]
