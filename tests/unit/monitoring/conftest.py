import pytest

from tests.unit.monitoring import keeping


@pytest.fixture(autouse=True)
def _connections_are_closed():
    yield
    while keeping.OPENED:
        keeping.OPENED.pop().close()
