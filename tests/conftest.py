"""How properties are searched: without a clock, since these machines are shared, and the same way each time in CI."""

import os

from hypothesis import settings

settings.register_profile("cockpit", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("cockpit")
