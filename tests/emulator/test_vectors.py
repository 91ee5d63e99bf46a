"""Test vectors: every format round trip and decoded by hand, layouts, and what is written or kept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zerobias.contract import FixedType, IntArray
from zerobias.emulator.vectors import (
    FORMATS,
    Field,
    Side,
    input_side,
    link_layout,
    output_side,
    read_stream,
    write_vectors,
)
from zerobias.emulator.vectors import write as writing
from zerobias.emulator.vectors.boards import BOARDS
from zerobias.emulator.vectors.text import Frames
from zerobias.errors import DataError, GateError, SpecError
from zerobias.zoo import LinkSpec, LinksSpec, Model, PieceSpec, SlotsSpec, find_model

SCORE: Any = SimpleNamespace(output_type=FixedType.parse("ap_ufixed<16,8>"), score_shape=())
"""What vectors need of a graph: here of one with CICADA's score."""
SEVERAL: Any = SimpleNamespace(output_type=FixedType.parse("ap_fixed<40,8>"), score_shape=(3,))


def events(model: Model, count: int) -> IntArray:
    """Both ends of the box, then random events in it."""
    low, high = model.contract.low, model.contract.high
    rng = np.random.default_rng(count)
    return np.stack([low, high, *(rng.integers(low, high, endpoint=True) for _ in range(count - 2))])


def scores(count: int, seed: int = 1) -> IntArray:
    return np.random.default_rng(seed).integers(0, 1 << 16, count)


def written(folder: Path, form: str, title: str) -> list[Path]:
    rows = json.loads((folder / "vectors.json").read_text())["files"]
    return [folder / row[title] for row in rows]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("name", "graph"), [("tiny", SEVERAL), ("cicada", SCORE), ("econ", SEVERAL)])
def test_round_trip(form: str, name: str, graph: Any, shelf_with_tiny: Path, tmp_path: Path) -> None:
    model = find_model(name, shelf_with_tiny)
    raw = events(model, 300)
    low, high = graph.output_type.min_int, graph.output_type.max_int
    score = np.random.default_rng(0).integers(low, high, (len(raw), *graph.score_shape), endpoint=True)
    facts = write_vectors(model, graph, raw, score, form, tmp_path / "out")
    for title, values, side in (
        ("inputs", raw, input_side(model)),
        ("scores", score.reshape(len(score), -1), output_side(model, graph)),
    ):
        parts = [read_stream(path, form, side) for path in written(tmp_path / "out", form, title)]
        found = np.concatenate([part.values[:: part.frames] for part in parts])
        known = np.concatenate([part.known[:: part.frames] for part in parts])
        np.testing.assert_array_equal(found[: len(raw)], values)
        assert known[: len(raw)].all()
        if form in ("emp", "apx"):
            assert not known[len(raw) :].any()
    assert sum(row["events"] for row in facts["files"]) == len(raw)
    if form in BOARDS:
        frames = max(facts[title]["words_an_event"] for title in ("inputs", "scores"))
        assert len(facts["files"]) == -(-len(raw) // (1024 // frames))


def test_cicada_links_as_its_firmware_reads_them(tmp_path: Path) -> None:
    """The loops of the public summary card: region // 7, 16 bits from bit 8; the score's nibbles."""
    model = find_model("cicada")
    raw, score = events(model, 10), scores(10)
    write_vectors(model, SCORE, raw, score, "ctp7", tmp_path / "out")
    rows = (tmp_path / "out" / "inputs_0.txt").read_text().splitlines()
    assert rows[1].split() == ["Input", *(f"LINK_{link:02d}" for link in range(36))]
    assert len(rows) == 3 + 1024
    words = [[int(word, 16) for word in row.split()] for row in rows[3:]]
    assert [row[0] for row in words] == list(range(1024))
    for event, regions in enumerate(raw.tolist()):
        links = [sum(words[4 * event + k][1 + link] << 32 * k for k in range(4)) for link in range(36)]
        assert [links[r // 7] >> (8 + 16 * (r % 7)) & 0x3FF for r in range(252)] == regions
        assert all(link & 0xFF == 0 == link >> 120 for link in links)
    rows = (tmp_path / "out" / "scores_0.txt").read_text().splitlines()
    assert rows[1].split() == ["Output", "LINK_00"]
    nibbles = [row.split()[1][2] for row in rows[3:]]
    assert [int("".join(nibbles[4 * event : 4 * event + 4]), 16) for event in range(10)] == score.tolist()


def test_memory_words_are_the_rtl_bus(tiny: Model, tmp_path: Path) -> None:
    raw, score = events(tiny, 10), scores(10)
    write_vectors(tiny, SCORE, raw, score, "readmemh", tmp_path / "out")
    lines = (tmp_path / "out" / "inputs.mem").read_text().splitlines()
    widths = [f.width for g in tiny.spec.contract.group for _ in range(g.count) for f in g.fields]
    for line, event in zip(lines, raw.tolist(), strict=True):
        assert len(line) == -(-sum(widths) // 4)
        at = 0
        for value, width in zip(event, widths, strict=True):
            assert int(line, 16) >> at & ((1 << width) - 1) == value % (1 << width)
            at += width
        assert int(line, 16) >> at == 0
    assert (tmp_path / "out" / "scores.mem").read_text() == "".join(f"{s:04x}\n" for s in score)


def test_dat_holds_the_values_of_the_units(tiny: Model, tmp_path: Path) -> None:
    raw, score = events(tiny, 10), scores(10)
    write_vectors(tiny, SCORE, raw, score, "dat", tmp_path / "out")
    table = np.loadtxt(tmp_path / "out" / "tb_input_features.dat")
    np.testing.assert_array_equal(table, raw * 2.0**tiny.contract.step_log2)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "out" / "tb_output_predictions.dat"), score / 256)


def test_board_text_line_by_line(tmp_path: Path) -> None:
    """Two events of two words, in the form that the public readers' regular expressions take."""
    bits = np.zeros((5, 1, 64), dtype=np.uint8)
    bits[0, 0, 0] = bits[3, 0, 63] = 1
    frames = Frames((7,), bits, np.array([[True]] * 4 + [[False]]))
    emp = "".join(BOARDS["emp"].write("scores", frames, 2)).splitlines()
    assert emp[0].startswith("ID: ")
    assert emp[1] == "Metadata: (strobe,) start of orbit, start of packet, end of packet, valid"
    assert (emp[2], emp[3].split()) == ("", ["Link", "007"])
    assert emp[3].strip().startswith("Link  ")
    assert emp[4:] == [
        "Frame 0000    1101 0000000000000001",
        "Frame 0001    0011 0000000000000000",
        "Frame 0002    0101 0000000000000000",
        "Frame 0003    0011 8000000000000000",
        "Frame 0004    0000 0000000000000000",
    ]
    apx = "".join(BOARDS["apx"].write("scores", frames, 2)).splitlines()
    assert [line.split() for line in apx[:3]] == [
        ["#Sideband", "ON"],
        ["#LinkLabel", "LINK_07"],
        ["#BeginData"],
    ]
    assert apx[3:] == [
        "0x0000    0x03 0x0000000000000001",
        "0x0001    0x09 0x0000000000000000",
        "0x0002    0x03 0x0000000000000000",
        "0x0003    0x09 0x8000000000000000",
        "0x0004    0x00 0x0000000000000000",
    ]


def test_old_and_strobed_emp_files_are_read(tmp_path: Path) -> None:
    old = tmp_path / "old.txt"
    old.write_text(
        "Board MP7\n Quad/Chan :  q00c0  q00c1\n      Link :   000   001\n"
        "Frame 0000 :   1v00000000000000ff   1s1v0000000000000001\n"
        "Frame 0001 :   0v0000000000000000   0s1v0000000000000002\n"
    )
    frames = BOARDS["emp"].read(old)
    assert frames.channels == (0, 1)
    assert frames.valid.tolist() == [[True, True], [False, False]]
    assert frames.bits.sum(axis=2).tolist() == [[8, 1], [0, 1]]
    new = tmp_path / "new.txt"
    new.write_text(
        "# a comment\nID: serenity\n"
        "Metadata: (strobe,) start of orbit, start of packet, end of packet, valid\n\n"
        "      Link  003\nFrame 0000  11101 0000000000000003\nFrame 0001  00001 0000000000000000\n"
    )
    assert BOARDS["emp"].read(new).valid.tolist() == [[True], [False]]


# --- the layout ---------------------------------------------------------------------------------


def test_default_layout_fills_words_in_order() -> None:
    side = Side("inputs", tuple(Field(f"v{w}", w, False, 1.0) for w in (20, 20, 12, 20, 40)), None, 2)
    layout = link_layout(side, 32)
    starts = [layout.place[layout.value == value].tolist() for value in range(5)]
    # Two words of 32 bits a link: 20 | 20 + 12 | 20 | 32 bits of the 40 | the other 8.
    assert [places[0] for places in starts] == [0, 32, 52, 64, 96]
    assert starts[4] == [*range(96, 128), *range(128, 136)]
    assert layout.channels == (0, 1, 2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            LinkSpec(links=1, bits=100, slots=SlotsSpec(step=16, per_link=2)),
            "links of the scores: 100 bits an event are no whole number of 64-bit words; "
            "choose a format with other words, or mend bits",
        ),
        (
            LinkSpec(links=1, bits=64, slots=SlotsSpec(step=16, per_link=1)),
            "links of the scores: value 1 lies at bits 0 to 15 of link 1: there are 1 links of 64 bits",
        ),
        (
            LinkSpec(links=1, bits=64, slots=SlotsSpec(step=8, per_link=2)),
            "links of the scores: bit 8 of link 0 holds two values: move one",
        ),
        (
            LinkSpec(links=1, bits=64, pieces=(PieceSpec(width=16, at=0),)),
            "links of the scores: bit 0 of value 1 (s2) has 0 places, it needs one",
        ),
        (
            LinkSpec(links=1, bits=64, pieces=(PieceSpec(width=16, at=0), PieceSpec(width=1, at=40))),
            "links of the scores: bit 0 of value 0 (s1) has 2 places, it needs one",
        ),
        (
            LinkSpec(links=1, bits=64, pieces=(PieceSpec(value=2, width=16, at=0),)),
            "links of the scores: bits 0 to 15 of value 2 do not exist: "
            "there are 2 values, value 0 of 16 bits",
        ),
    ],
)
def test_wrong_declarations(spec: LinkSpec, message: str) -> None:
    fields = (Field("s1", 16, False, 1.0), Field("s2", 16, False, 1.0))
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        link_layout(Side("scores", fields, spec, 1), 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("links = 1\nbits = 64", "links.input: give either slots or pieces"),
        (
            "links = 2\nbits = 64\nchannels = [3, 3]\nslots = { step = 8, per_link = 8 }",
            "2 different numbers",
        ),
        ("links = 1\nbits = 64\nslot = { step = 8, per_link = 8 }", "did you mean 'slots'"),
    ],
)
def test_wrong_tables(text: str, message: str, shelf_with_tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    own = (shelf_with_tiny / "tiny" / "model.toml").read_text()
    (tmp_path / "tiny" / "model.toml").write_text(
        own.replace("[network]", f"[links.input]\n{text}\n\n[network]")
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        find_model("tiny", tmp_path)


# --- what is written ----------------------------------------------------------------------------


def test_fault_of_a_writer_is_found(tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The read-back's own control, and nothing is left or lost when it is red."""
    raw, score = events(tiny, 10), scores(10)
    write_vectors(tiny, SCORE, raw, score, "dat", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    good = writing._PLAIN["dat"][1]
    shifted = (writing._PLAIN["dat"][0], lambda side, values: good(side, np.roll(values, 1, axis=0)))
    monkeypatch.setitem(writing._PLAIN, "dat", shifted)
    with pytest.raises(GateError, match=r"features\.dat does not read back as the inputs"):
        write_vectors(tiny, SCORE, raw, score, "dat", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_folder_that_holds_something_else_is_kept(tiny: Model, tmp_path: Path) -> None:
    """Such as a capture beside the vectors it answers."""
    out = tmp_path / "out"
    write_vectors(tiny, SCORE, events(tiny, 10), scores(10), "dat", out)
    write_vectors(tiny, SCORE, events(tiny, 10), scores(10), "dat", out)
    (out / "captured.txt").write_text("all of it")
    for _ in range(2):
        with pytest.raises(DataError, match=r"out would be replaced and holds \S+, which is none of its"):
            write_vectors(tiny, SCORE, events(tiny, 10), scores(10), "dat", out)
        assert (out / "captured.txt").read_text() == "all of it"
        (out / "vectors.json").unlink(missing_ok=True)


def test_file_is_kept(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(DataError, match=r"thesis\.tex is no folder: name another one with --out"):
        write_vectors(tiny, SCORE, events(tiny, 10), scores(10), "dat", tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "all of it"


def test_folder_that_is_a_link_is_replaced(tiny: Model, tmp_path: Path) -> None:
    out, real = tmp_path / "out", tmp_path / "real"
    write_vectors(tiny, SCORE, events(tiny, 10), scores(10), "dat", real)
    out.symlink_to(real)
    write_vectors(tiny, SCORE, events(tiny, 12), scores(12), "dat", out)
    assert len(np.loadtxt(out / "tb_output_predictions.dat")) == 12
    assert len(np.loadtxt(real / "tb_output_predictions.dat")) == 10


def test_event_longer_than_a_file(tiny: Model, tmp_path: Path) -> None:
    spec = LinkSpec(links=1, bits=64 * 1025, slots=SlotsSpec(step=16, per_link=57))
    links = tiny.spec.links.model_copy(update={"input": spec})
    model = replace(tiny, spec=tiny.spec.model_copy(update={"links": links}))
    with pytest.raises(SpecError, match="an event takes 1025 words a link, a emp file 1024: use more links"):
        write_vectors(model, SCORE, events(tiny, 10), scores(10), "emp", tmp_path / "out")


def test_sides_at_different_rates(tiny: Model, tmp_path: Path) -> None:
    spec = LinkSpec(links=1, bits=128, slots=SlotsSpec(step=16, per_link=1))
    model = replace(tiny, spec=tiny.spec.model_copy(update={"links": LinksSpec(output=spec)}))
    with pytest.raises(
        SpecError, match="takes 6 words on a link of the inputs and 2 on one of the scores, so"
    ):
        write_vectors(model, SCORE, events(tiny, 10), scores(10), "emp", tmp_path / "out")


def test_manifest_says_where_values_lie(tmp_path: Path) -> None:
    model = find_model("cicada")
    facts = write_vectors(model, SCORE, events(model, 10), scores(10), "ctp7", tmp_path / "out", first=100)
    assert facts["files"] == [
        {"first_event": 100, "events": 10, "inputs": "inputs_0.txt", "scores": "scores_0.txt"}
    ]
    assert facts["scores"]["values"][0]["runs"] == [
        [0, 4, 0, 124],
        [4, 4, 0, 92],
        [8, 4, 0, 60],
        [12, 4, 0, 28],
    ]
    assert facts["inputs"]["values"][251]["runs"] == [[0, 10, 35, 104]]
    assert json.loads((tmp_path / "out" / "vectors.json").read_text()) == facts
