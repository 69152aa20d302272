from tests.scoring.conftest import data

__all__ = ["data"]
