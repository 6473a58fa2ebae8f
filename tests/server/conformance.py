"""Whether answers are what our own OpenAPI document says: status, media type, and the body under its schema."""

from __future__ import annotations

import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator


class Conformance:
    """Checks answers against one OpenAPI document; ``checked`` has the operations and statuses that it saw."""

    def __init__(self, described: dict[str, Any]) -> None:
        self._document = described
        self._operations = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), method.upper(), operation)
            for path, item in described["paths"].items()
            for method, operation in item.items()
        ]
        self.checked: set[tuple[str, int]] = set()

    def check(self, answer: httpx.Response) -> None:
        """Fails for an answer that is not described. What is no operation of the document is left alone."""
        # Of paths that fit, the one without a parameter there comes first, as in the routes.
        operation = next(
            (
                operation
                for path, method, operation in sorted(self._operations, key=lambda entry: entry[0].pattern.count("["))
                if method == answer.request.method and path.fullmatch(answer.request.url.path)
            ),
            None,
        )
        if operation is None or answer.status_code == 405:
            return
        name = operation["operationId"]
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"{name}: {answer.status_code} is not described: {answer.text[:300]}"
        self.checked.add((name, answer.status_code))
        contents = described.get("content")
        if not contents:
            assert answer.content == b"", f"{name}: a body where none is described"
            return
        media_type = answer.headers["content-type"].partition(";")[0]
        content = contents.get(media_type) or contents.get("*/*")
        assert content is not None, f"{name}: {media_type} is not described"
        if media_type == "application/json":
            self._validate(name, content["schema"], answer.json())
        elif "x-itemSchema" in content:
            for line in answer.content.split(b"\n"):
                if line:
                    self._validate(name, content["x-itemSchema"], httpx.Response(200, content=line).json())

    def _validate(self, name: str, schema: dict[str, Any], value: Any) -> None:
        validator = Draft202012Validator({**schema, "components": self._document["components"]})
        for error in validator.iter_errors(value):
            raise AssertionError(f"{name}: {error.json_path}: {error.message[:300]}")


class CheckedClient(httpx.Client):
    """A client that checks every answer that it has read whole; streams that it reads by itself are not."""

    def __init__(self, conformance: Conformance, **options: Any) -> None:
        super().__init__(**options)
        self._conformance = conformance

    def request(self, *arguments: Any, **options: Any) -> httpx.Response:
        answer = super().request(*arguments, **options)
        self._conformance.check(answer)
        return answer
