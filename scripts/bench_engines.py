"""The engines that scripts/bench.py measures, each in a process and with an interpreter of its own.

``bench_engines.py ENGINE`` reads JSON lines and answers each with one: the setup (model, schema, context, threads,
layers on a GPU, attention kernel, limits) with the seconds of loading; then one job after another (phase, document,
text) with its run; at the end of the input comes the peak memory. Peers get the raw JSON Schema in their prompt, as
their users give it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_retab.service import ExtractionService

Setup = dict[str, Any]
Job = dict[str, Any]
Run = dict[str, Any]


def run_ours(setup: Setup) -> Iterator[Run]:
    from local_retab import Settings
    from local_retab.service import ExtractionService

    # A store of its own for templates: nothing may be warm that another run has left.
    with tempfile.TemporaryDirectory() as folder:
        service = ExtractionService(Settings.from_environment(prefix_cache_dir=Path(folder)))
        yield from _run_ours(service, setup)


def _run_ours(service: ExtractionService, setup: Setup) -> Iterator[Run]:
    from local_retab import Retab

    service.preload(setup["model"])
    with Retab(transport=service) as client:
        job = yield {}
        while True:
            started = time.perf_counter()
            # What was measured before must not be answered from the result cache; "identical" asks for just that.
            fresh = job["phase"] != "identical"
            stream = client.extractions.create_stream(
                job["path"], setup["schema"], model=setup["model"], bust_cache=fresh
            )
            next(stream)
            first = time.perf_counter() - started
            usage = stream.final().usage
            counts = usage.model_dump(exclude={"credits", "queue_seconds"}) if usage else {}
            job = yield {"first_chunk": first, "total": time.perf_counter() - started, **counts}


def _messages(setup: Setup, job: Job) -> list[dict[str, str]]:
    system = f"{setup['task']}\n\nThe JSON schema:\n{json.dumps(setup['schema'])}"
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": f"The document:\n\n{job['text']}"},
    ]


def _timed(pieces: Iterator[str | None]) -> Run:
    """Read a stream of texts to its end; its whole must be JSON."""
    started = time.perf_counter()
    first, count, text = 0.0, 0, ""
    for piece in pieces:
        if piece:
            first = first or time.perf_counter() - started
            count += 1
            text += piece
    total = time.perf_counter() - started
    json.loads(text)
    return {"first_chunk": first, "total": total, "output_tokens": count}


def _llama(setup: Setup) -> Any:
    import llama_cpp

    threads = setup["threads"]
    return llama_cpp.Llama(
        setup["model_path"],
        n_ctx=setup["context_tokens"],
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=setup["gpu_layers"],
        flash_attn=setup["flash_attention"],
        verbose=False,
    )


def run_llama_cpp_python(setup: Setup) -> Iterator[Run]:
    llama = _llama(setup)
    job = yield {}
    while True:
        chunks = llama.create_chat_completion(
            messages=_messages(setup, job),
            response_format={"type": "json_object", "schema": setup["schema"]},
            temperature=0.0,
            max_tokens=setup["max_output_tokens"],
            stream=True,
        )
        job = yield _timed(chunk["choices"][0]["delta"].get("content") for chunk in chunks)


def run_outlines(setup: Setup) -> Iterator[Run]:
    import outlines
    from outlines.inputs import Chat

    model = outlines.from_llamacpp(_llama(setup))
    generator = outlines.Generator(model, outlines.types.JsonSchema(json.dumps(setup["schema"])), backend="llguidance")
    job = yield {}
    while True:
        chat = Chat(_messages(setup, job))
        job = yield _timed(generator.stream(chat, max_tokens=setup["max_output_tokens"], temperature=0.0))


def run_llama_server(setup: Setup) -> Iterator[Run]:
    """llama.cpp's server engine, in process, as the xllamacpp wheel carries it; its prompt cache is on."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = setup["model_path"]
    parameters.n_ctx = setup["context_tokens"]
    parameters.n_parallel = 1
    parameters.cache_prompt = True
    parameters.verbosity = -1
    parameters.cpuparams.n_threads = setup["threads"]
    parameters.cpuparams_batch.n_threads = setup["threads"]
    server = xllamacpp.Server(parameters)
    job = yield {}
    while True:
        started = time.perf_counter()
        arrived: list[tuple[float, str]] = []

        def keep(chunk: Any, arrived: list[tuple[float, str]] = arrived) -> None:
            now = time.perf_counter()
            items = chunk if isinstance(chunk, list) else [chunk]
            pieces = [choice.get("delta", {}).get("content") for item in items for choice in item.get("choices", ())]
            arrived.extend((now, piece) for piece in pieces if piece)

        server.handle_chat_completions(
            {
                "messages": _messages(setup, job),
                "response_format": {"type": "json_object", "schema": setup["schema"]},
                "temperature": 0.0,
                "max_tokens": setup["max_output_tokens"],
                "cache_prompt": True,
                "stream": True,
            },
            keep,
        )
        total = time.perf_counter() - started
        json.loads("".join(piece for _, piece in arrived))
        job = yield {"first_chunk": arrived[0][0] - started, "total": total, "output_tokens": len(arrived)}


ENGINES: dict[str, Callable[[Setup], Iterator[Run]]] = {
    "local_retab": run_ours,
    "llama-cpp-python": run_llama_cpp_python,
    "outlines": run_outlines,
    "llama.cpp server": run_llama_server,
}


def peak_rss() -> int:
    """Peak resident set of this process, bytes (Linux counts kilobytes, macOS bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main(engine: str) -> None:
    """Serve one engine. Whatever a library writes to stdout goes to stderr, so that the answers stay alone."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    setup = json.loads(sys.stdin.readline())
    started = time.perf_counter()
    runs = ENGINES[engine](setup)
    next(runs)
    answer({"load_seconds": time.perf_counter() - started})
    for line in sys.stdin:
        job = json.loads(line)
        run = runs.send(job)  # type: ignore[attr-defined]
        answer({"phase": job["phase"], "document": job["document"], **run})
    answer({"peak_rss_bytes": peak_rss()})


if __name__ == "__main__":
    main(sys.argv[1])
