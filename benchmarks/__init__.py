import os

# An installed Cockpit has its bytecode: each process that a benchmark starts may write it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
