"""The resources of a client for asynchronous programs: each the other one with its methods run in threads."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from local_retab.resources import Consensus, Parses, Resource, Schemas, Sources, StoredExtractions, StoredFiles

P = ParamSpec("P")
Result = TypeVar("Result")


def in_thread(
    method: Callable[Concatenate[Any, P], Result],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, Result]]:
    """A method as a coroutine that runs it in a thread."""

    @functools.wraps(method)
    async def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], Coroutine[Any, Any, Result]]", call)


class AsyncSources(Resource):
    """``Sources`` for asynchronous programs."""

    get = in_thread(Sources.get)
    create = in_thread(Sources.create)


class AsyncStoredExtractions(Resource):
    """``StoredExtractions`` for asynchronous programs."""

    @functools.cached_property
    def sources(self) -> AsyncSources:
        return AsyncSources(self._transport)

    get = in_thread(StoredExtractions.get)
    list = in_thread(StoredExtractions.list)
    delete = in_thread(StoredExtractions.delete)
    create_extraction_cancel = in_thread(StoredExtractions.create_extraction_cancel)


class AsyncParses(Resource):
    """``Parses`` for asynchronous programs."""

    create = in_thread(Parses.create)
    get = in_thread(Parses.get)
    list = in_thread(Parses.list)
    delete = in_thread(Parses.delete)
    cancel = in_thread(Parses.cancel)


class AsyncSchemas(Resource):
    """``Schemas`` for asynchronous programs."""

    generate = in_thread(Schemas.generate)
    get = in_thread(Schemas.get)
    create_generate_cancel = in_thread(Schemas.create_generate_cancel)


class AsyncStoredFiles(Resource):
    """``StoredFiles`` for asynchronous programs."""

    upload = in_thread(StoredFiles.upload)
    get = in_thread(StoredFiles.get)
    read = in_thread(StoredFiles.read)
    list = in_thread(StoredFiles.list)
    delete = in_thread(StoredFiles.delete)


class AsyncConsensus(Resource):
    """``Consensus`` for asynchronous programs."""

    create = in_thread(Consensus.create)
