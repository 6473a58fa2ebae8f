"""Which models are in memory, and for how long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_retab.engine.pool import EnginePool
from local_retab.errors import EngineError, ModelLoadError

ONE, TWO = Path("one.gguf"), Path("two.gguf")


class FakeEngine:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class Loader:
    def __init__(self) -> None:
        self.opened: list[FakeEngine] = []

    def __call__(self, path: Path) -> FakeEngine:
        if path.name == "broken.gguf":
            raise ModelLoadError("broken.gguf: it is broken.")
        engine = FakeEngine(path)
        self.opened.append(engine)
        return engine

    @property
    def in_memory(self) -> list[Path]:
        return [engine.path for engine in self.opened if not engine.closed]


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def pool(loader: Loader) -> Iterator[EnginePool]:
    made = EnginePool(loader)  # type: ignore[arg-type]
    yield made
    made.close()
    assert not loader.in_memory


def test_a_model_is_loaded_when_it_is_first_asked_for_and_stays(pool: EnginePool, loader: Loader) -> None:
    assert not loader.opened
    for _ in range(2):
        with pool.lease(ONE) as engine:
            assert loader.opened == [engine]
    assert loader.in_memory == [ONE]


def test_an_idle_model_makes_way_for_another(pool: EnginePool, loader: Loader) -> None:
    with pool.lease(ONE):
        pass
    with pool.lease(TWO):
        assert loader.in_memory == [TWO]


def test_a_model_in_use_stays(pool: EnginePool, loader: Loader) -> None:
    with pool.lease(ONE) as one, pool.lease(TWO), pool.lease(ONE) as again:
        assert again is one
        assert loader.in_memory == [ONE, TWO]
    with pool.lease(Path("three.gguf")):
        assert loader.in_memory == [Path("three.gguf")]


def test_a_model_in_use_by_two_is_in_use_until_both_have_ended(pool: EnginePool, loader: Loader) -> None:
    first, second = pool.lease(ONE), pool.lease(ONE)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pool.lease(TWO):
        assert loader.in_memory == [ONE, TWO]
    second.__exit__(None, None, None)


def test_a_lease_ends_with_an_error_too(pool: EnginePool, loader: Loader) -> None:
    with pytest.raises(ZeroDivisionError), pool.lease(ONE):
        raise ZeroDivisionError
    with pool.lease(TWO):
        assert loader.in_memory == [TWO]


def test_a_model_that_cannot_be_loaded_leaves_the_pool_as_it_was(pool: EnginePool, loader: Loader) -> None:
    with pool.lease(ONE):
        with pytest.raises(ModelLoadError), pool.lease(Path("broken.gguf")):
            pytest.fail("there is no such engine")
        assert loader.in_memory == [ONE]
    with pool.lease(TWO):
        assert loader.in_memory == [TWO]


def test_threads_that_ask_at_once_get_one_engine(pool: EnginePool, loader: Loader) -> None:
    together = threading.Barrier(4)
    got = []

    def ask() -> None:
        together.wait(30)
        with pool.lease(ONE) as engine:
            got.append(engine)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == loader.opened * 4


def test_closing_closes_engines_in_use_and_ends_their_leases_in_peace(pool: EnginePool, loader: Loader) -> None:
    with pool.lease(ONE):
        pool.close()
        assert not loader.in_memory
    with pytest.raises(EngineError, match="closed"), pool.lease(ONE):
        pytest.fail("the pool is closed")
    pool.close()
