"""Office files written for tests, each as the bytes of a file. What no library writes is written out here."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from itertools import pairwise

import docx
import pptx
from docx.oxml import parse_xml

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
ODF = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation",
    }.items()
)  # fmt: skip


def docx_file(*blocks: str, header: str = "", footer: str = "") -> bytes:
    """A Word file whose body is ``blocks``: text, or WordprocessingML where it begins with an angle bracket."""
    document = docx.Document()
    end = document.element.body[-1]
    for block in blocks:
        if block.startswith("<"):
            end.addprevious(parse_xml(block.replace(">", f" {W}>", 1)))
        else:
            document.add_paragraph(block)
    if header:
        document.sections[0].header.paragraphs[0].text = header
    if footer:
        document.sections[0].footer.paragraphs[0].text = footer
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def docx_table(*rows: list[str]) -> str:
    """A table in WordprocessingML."""
    cells = ["".join(f"<w:tc>{paragraphs(cell)}</w:tc>" for cell in row) for row in rows]
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def paragraphs(text: str) -> str:
    return "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.split("\n"))


def pptx_file(*slides: tuple[str, str]) -> bytes:
    """Slides with a title and a body."""
    presentation = pptx.Presentation()
    for title, body in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    out = io.BytesIO()
    presentation.save(out)
    return out.getvalue()


def zip_file(parts: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return out.getvalue()


def odf_file(kind: str, body: str, *, styles: str = "") -> bytes:
    """An OpenDocument file; ``kind`` is text, presentation or spreadsheet, ``body`` the XML in it."""
    return zip_file(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": '<manifest xmlns="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>',
            "content.xml": f"<office:document-content {ODF}><office:body><office:{kind}>{body}</office:{kind}>"
            "</office:body></office:document-content>",
            "styles.xml": f"<office:document-styles {ODF}><office:master-styles>{styles}</office:master-styles>"
            "</office:document-styles>",
        }
    )


def edited_zip(data: bytes, parts: Mapping[str, bytes]) -> bytes:
    """The archive with some of its parts replaced or added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        old = {name: archive.read(name) for name in archive.namelist()}
    return zip_file({**old, **parts})


def part_of(data: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(name)


SECTOR = 512
_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


def compound_file(tree: Mapping[str, object]) -> bytes:
    """A Microsoft compound file of streams (bytes) and storages (mappings of them), version 3 (MS-CFB).

    Streams are padded to 4,096 bytes, so that none is in the mini stream; readers of properties stop at their size.
    """
    entries: list[tuple[str, int, int, bytes]] = []
    children: dict[int, list[int]] = {}

    def add(name: str, node: object) -> int:
        index = len(entries)
        if isinstance(node, bytes):
            entries.append((name, 2, len(node), node))
        else:
            assert isinstance(node, Mapping)
            entries.append((name, 1 if index else 5, 0, b""))
            children[index] = [add(child, inner) for child, inner in node.items()]
        return index

    add("Root Entry", tree)
    sectors: list[bytes] = []
    chains: list[int] = []
    starts = []
    for _, _, size, data in entries:
        starts.append(len(sectors) if size else _END)
        count = -(-max(size, 4096) // SECTOR) if size else 0
        padded = data.ljust(count * SECTOR, b"\0")
        sectors += [padded[at : at + SECTOR] for at in range(0, len(padded), SECTOR)]
        chains += [*range(len(chains) + 1, len(chains) + count), _END] if count else []
    right = {a: b for siblings in children.values() for a, b in pairwise(siblings)}
    directory = b""
    for index, (name, kind, size, _) in enumerate(entries):
        encoded = name.encode("utf-16-le") + b"\0\0"
        child = (children.get(index) or [_NONE])[0]
        directory += encoded.ljust(64, b"\0") + struct.pack(
            "<HBBIII16sIQQIQ", len(encoded), kind, 1, _NONE, right.get(index, _NONE), child, b"", 0, 0, 0,
            starts[index], max(size, 4096) if size else 0,
        )  # fmt: skip
    directory = directory.ljust(-(-len(directory) // SECTOR) * SECTOR, b"\0")
    first_directory = len(sectors)
    blocks = [directory[at : at + SECTOR] for at in range(0, len(directory), SECTOR)]
    sectors += blocks
    chains += [*range(first_directory + 1, first_directory + len(blocks)), _END]
    fats = 1
    while fats * 128 < len(chains) + fats:
        fats += 1
    first_fat = len(sectors)
    table = [*chains, *[_FAT] * fats]
    fat = struct.pack(f"<{fats * 128}I", *table, *[_FREE] * (fats * 128 - len(table)))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 62, 3, 0xFFFE, 9, 6, b"", 0, fats,
        first_directory, 0, 4096, _END, 0, _END, 0,
    )  # fmt: skip
    locations = [first_fat + index for index in range(fats)]
    header += struct.pack("<109I", *locations, *[_FREE] * (109 - fats))
    return header + b"".join(sectors) + fat


def msg_file(properties: Mapping[int, str], recipients: list[tuple[str, str]], files: Mapping[str, bytes]) -> bytes:
    """An Outlook message (MS-OXMSG): string properties by their id, recipients as name and address, attachments."""

    def strings(values: Mapping[int, str | bytes], head: bytes) -> dict[str, object]:
        streams: dict[str, object] = {}
        table = head
        for number, value in values.items():
            kind, data = (0x0102, value) if isinstance(value, bytes) else (0x001F, value.encode("utf-16-le"))
            streams[f"__substg1.0_{number:04X}{kind:04X}"] = data
            table += struct.pack("<HHIII", kind, number, 6, len(data) + 2, 0)
        return {**streams, "__properties_version1.0": table}

    tree = strings(properties, struct.pack("<8xIIII8x", len(recipients), len(files), len(recipients), len(files)))
    for index, (name, address) in enumerate(recipients):
        tree[f"__recip_version1.0_#{index:08X}"] = strings({0x3001: name, 0x39FE: address}, bytes(8))
    for index, (name, data) in enumerate(files.items()):
        attached: dict[int, str | bytes] = {0x3701: data, 0x3707: name, 0x370E: "application/pdf"}
        tree[f"__attach_version1.0_#{index:08X}"] = strings(attached, bytes(8))
    return compound_file({**tree, "__nameid_version1.0": {}})
