"""Properties run without a clock: a slow machine is no reason to fail."""

from hypothesis import settings

settings.register_profile("aclue", deadline=None)
settings.load_profile("aclue")
