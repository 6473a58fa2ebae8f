"""An address does not begin with what stands by itself between the name and it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_backend import ANSWER as MARK
from scripted_backend import END, ScriptedBackend

from local_retab.documents import load
from local_retab.engine.engine import Engine
from local_retab.extraction.beginnings import Beginnings, is_address
from local_retab.extraction.field_names import has_field
from local_retab.extraction.pipeline import extract
from local_retab.extraction.task import Stop, Task
from local_retab.schema import plan_schema
from local_retab.settings import Settings
from local_retab.wire import Extraction, ExtractionParameters, now

RECEIPT = (
    "    UNIVERSE SDN BHD\n  14 Mar 2018 18:40\n    (867388-U)\n  1227039\n12, Jalan Tampoi 7/4,   Tel 03-7731 8169\n"
    "  81200 Johor Bahru\nInvoice 10019 of 06/03/2018\nPen  14.00\nTime: 17:40 at counter 17\nTotal   27.00"
)
BEGINNINGS = Beginnings([RECEIPT])


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("14 Mar 2018", 1),
        ("(867388-U) 12, Jalan", 0),
        ("1227039, 12, Jalan", 2),
        ("17 counter", 1),
        ("27.00", 0),
        ("9 Elm Road", 0),
        ("12, Jalan Tampoi", None),
        ("81200 Johor", None),
        ("Jalan Tampoi", 0),
        ("Johor Bahru", 0),
        ("Pen", None),
        ("Elm Road 9", None),
    ],
)
def test_the_first_character_that_begins_no_address_is_refused(text: str, refused: int | None) -> None:
    for before in ('{"company":"U","address":"', '{\n "address" : "', '{"note":"a \\"b\\"","shipping_address":"'):
        output = before.encode()
        found = None
        for index, char in enumerate(text):
            if BEGINNINGS.refuses(output, char.encode()):
                found = index
                break
            output += char.encode()
        assert found == refused, before


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("NO. 53, ELM ROAD", True),
        ("K3-113,ELM ROAD", True),
        ("Lot 7 & Unit 2 Elm Road", False),
        ("1. Elm Road", False),
        ("Qty 2 Elm Road", False),
        ("53, Elm Road\nElm Road Shop", False),
    ],
)
def test_an_address_does_not_begin_behind_the_number_of_its_house(line: str, refused: bool) -> None:
    beginnings = Beginnings([f"UNIVERSE SDN BHD\n{line}\nTOTAL 12"])
    assert beginnings.refuses(b'{"address":"', b"E") is refused
    assert not beginnings.refuses(b'{"address":"53, ', b"Elm")
    assert not beginnings.refuses(b'{"address":"', b"Nowhere")


def test_tokens_of_several_characters_and_other_places() -> None:
    assert BEGINNINGS.refuses(b'{"address":', b'"14')
    assert BEGINNINGS.refuses(b'{"address":"', b"14 Mar")
    assert not BEGINNINGS.refuses(b'{"address":"12, Jalan","date":"', b"14 Mar")
    assert not BEGINNINGS.refuses(b'{"address":"12, Jalan', b' 14"')
    assert not BEGINNINGS.refuses(b'{"address":', b'"')
    assert not BEGINNINGS.refuses(b'{"address":["', b"14 Mar")
    assert not BEGINNINGS.refuses(b'{"note":"\\"address\\":\\"', b"14 Mar")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("address", True),
        ("vendor_address", True),
        ("shippingAddress", True),
        ("Lieferanschrift", False),
        ("anschrift", True),
        ("email_address", False),
        ("ipAddress", False),
        ("address_line_2", False),
        ("addressee", False),
        ("", False),
    ],
)
def test_addresses_by_their_names(name: str, address: bool) -> None:
    assert is_address(name) is address
    assert (
        has_field({"type": "object", "properties": {"a": {"items": {"properties": {name: {}}}}}}, is_address) is address
    )


class Undecided(ScriptedBackend):
    """Writes its texts up to an answer each time, the first with the most weight."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__(lambda prompt: "", sequences=8)
        self.answers = [answer.encode() for answer in answers]

    def logits(self, row: int) -> NDArray[np.float32]:
        written = bytes(token for token in self._rows[row] if token < END).rpartition(MARK.encode())[2]
        values = np.full(self.info.vocabulary_size, -30, dtype=np.float32)
        for place, answer in enumerate(self.answers):
            if answer.startswith(written):
                token = answer[len(written)] if len(written) < len(answer) else END
                values[token] = max(values[token], -5.0 * place)
        return values


def answer_of(folder: Path, *addresses: str, document: str = RECEIPT, **fields: Any) -> Any:
    schema = {"type": "object", "properties": {"address": {"type": "string"}}, "required": ["address"]}
    settings = Settings(home=folder)
    backend = Undecided([json.dumps({"address": address}, separators=(",", ":")) for address in addresses])
    page = load(document.encode(), filename="a.txt", settings=settings)
    parameters = ExtractionParameters(json_schema=schema, **fields)
    task = Task("extr_1", now(), page, parameters, plan_schema(schema, settings=settings), settings, Stop())
    with Engine(backend, max_sequences=8, prefill_chunk=64) as engine:
        *_, extraction = extract(task, engine)
    assert isinstance(extraction, Extraction)
    return extraction.output["address"]  # type: ignore[index,call-overload]


def test_the_likeliest_address_that_is_let_be_is_written(tmp_path: Path) -> None:
    assert answer_of(tmp_path, "14 Mar 2018", "12, Jalan Tampoi 7/4,") == "12, Jalan Tampoi 7/4,"
    assert answer_of(tmp_path, "14 Mar 2018", "12, Jalan", n_consensus=3) == "12, Jalan"
    assert answer_of(tmp_path, "Elm Road", "12, Jalan") == "Elm Road"


def test_a_hostile_cell_is_read_in_bounded_work() -> None:
    assert not Beginnings(["1" * 200_000 + "! " + "Elm " * 1_000]).refuses(b'{"address":"', b"E")
