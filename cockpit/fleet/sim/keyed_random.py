"""Random numbers that depend on nothing but a key, so that a simulated world repeats itself."""

import hashlib
import random


def keyed_random(*key: object) -> random.Random:
    """Return a random generator that is the same for the same key, in any process."""
    return random.Random(hashlib.blake2b("|".join(map(str, key)).encode(), digest_size=8).digest())
