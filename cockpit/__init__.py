"""A terminal cockpit for parallel autoresearch.

.. include:: ../docs/design.md
"""

import os

__version__ = "0.1.0"

# Here because numpy reads it as it is loaded. The matrices are small: on a busy machine BLAS's threads, waiting for
# each other, take twenty times the processor time of one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
