"""Captures that are shifted, damaged or wrong, in every format."""

from __future__ import annotations

import re
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
    compare_capture,
    link_layout,
    output_side,
    read_stream,
)
from zerobias.emulator.vectors.boards import BOARDS
from zerobias.emulator.vectors.text import Frames
from zerobias.errors import DataError, GateError
from zerobias.zoo import find_model

SCORE: Any = SimpleNamespace(output_type=FixedType.parse("ap_ufixed<16,8>"), score_shape=())
"""What vectors need of a graph: here of one with CICADA's score."""
SIDE = Side("scores", (Field("score1", 16, False, 1 / 256),), None, 2)


def scores(count: int, seed: int = 1) -> IntArray:
    return np.random.default_rng(seed).integers(0, 1 << 16, count)


def captured(path: Path, form: str, score: IntArray, offset: int, side: Side = SIDE, more: int = 7) -> Path:
    """A capture whose first score lies in row ``offset``, with ``more`` rows behind the last one."""
    score = score.reshape(len(score), -1)
    if form == "dat":
        rows = [
            np.zeros((offset, score.shape[1])),
            score * side.fields[0].worth,
            np.zeros((more, score.shape[1])),
        ]
        path.write_text("".join(" ".join(f"{v:.12g}" for v in row) + "\n" for row in np.concatenate(rows)))
    elif form == "readmemh":
        words = ["xxxx"] * offset + [f"{s:04x}" for s in score[:, 0]] + ["XXXX"] * more
        path.write_text("// captured\n@0\n" + "\n".join(words))
    else:
        layout = link_layout(side, BOARDS[form].word)
        words = layout.pack(score)
        bits = np.zeros((offset + len(words) + more, *words.shape[1:]), dtype=np.uint8)
        bits[offset : offset + len(words)] = words
        valid = np.zeros(bits.shape[:2], dtype=bool)
        valid[offset : offset + len(words)] = True
        path.write_text(
            "".join(BOARDS[form].write("scores", Frames(layout.channels, bits, valid), layout.frames))
        )
    return path


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("offset", [0, 1, 37])
def test_offset_is_found(form: str, offset: int, tmp_path: Path) -> None:
    score = scores(50)
    found = compare_capture(captured(tmp_path / "file", form, score, offset), form, SIDE, score)
    assert (found.offset, found.events, found.differing, found.first_event) == (offset, 50, 0, None)
    assert found.runner_up < 5
    assert found.rows_an_event == (2 if form in BOARDS else 1)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("event", [0, 23, 49])
def test_one_flipped_bit_is_reported_at_its_event(form: str, event: int, tmp_path: Path) -> None:
    score = scores(50)
    wrong = score.copy()
    wrong[event] ^= 1 << 9
    found = compare_capture(captured(tmp_path / "file", form, wrong, 37), form, SIDE, score)
    assert (found.offset, found.differing, found.first_event) == (37, 1, event)
    assert (found.captured, found.reference) == (wrong[event], score[event])


def test_flipped_bit_in_the_file_itself(tmp_path: Path) -> None:
    """CICADA's layout in a CTP7 file: the second nibble of event 11 lies in row offset + 4 * 11 + 1."""
    score = scores(50)
    side = output_side(find_model("cicada"), SCORE)
    path = captured(tmp_path / "file", "ctp7", score, 21, side)
    lines = path.read_text().splitlines()
    row = 3 + 21 + 4 * 11 + 1
    word = int(lines[row].split()[1], 16)
    lines[row] = lines[row].replace(f"0x{word:08x}", f"0x{word ^ 1 << 28:08x}")
    path.write_text("\n".join(lines) + "\n====\n")
    found = compare_capture(path, "ctp7", side, score)
    assert (found.offset, found.differing, found.first_event) == (21, 1, 11)
    assert found.captured == score[11] ^ 1 << 8
    lines[row] = lines[row].replace(f"0x{word ^ 1 << 28:08x}", f"0x{word ^ 0xFF:08x}")  # bits of no value
    path.write_text("\n".join(lines))
    assert compare_capture(path, "ctp7", side, score).differing == 0


def test_several_values_name_the_one_that_differs(tmp_path: Path) -> None:
    side = Side("scores", tuple(Field(f"s{i}", 40, True, 1.0) for i in range(3)), None, 4)
    score = np.random.default_rng(3).integers(-(1 << 39), 1 << 39, (30, 3))
    wrong = score.copy()
    wrong[5, 2] ^= 1 << 39
    wrong[5, 2] -= (wrong[5, 2] >= 1 << 39) << 40
    found = compare_capture(captured(tmp_path / "file", "emp", wrong, 9, side), "emp", side, score)
    assert (found.first_event, found.first_value, found.captured) == (5, 2, wrong[5, 2])


def test_word_that_is_not_valid_is_no_score(tmp_path: Path) -> None:
    score = scores(20)
    path = captured(tmp_path / "file", "apx", score, 3)
    text = path.read_text()
    row = 3 + 2 * 8
    path.write_text(re.sub(rf"^(0x{row:04x}\s+)0x0\d", r"\g<1>0x00", text, flags=re.M))
    found = compare_capture(path, "apx", SIDE, score)
    assert (found.differing, found.first_event, found.captured) == (1, 8, None)
    assert found.reference == score[8]


def test_ambiguous_offset(tmp_path: Path) -> None:
    """Equal scores, and a pattern that was played twice."""
    path = captured(tmp_path / "a", "emp", np.full(22, 7), 5, more=0)
    with pytest.raises(DataError, match="ambiguous, 20 of 20 events agree at offsets 5, 7, 9: compare more"):
        compare_capture(path, "emp", SIDE, np.full(20, 7))
    score = scores(20)
    path = captured(tmp_path / "b", "dat", np.concatenate([score, score]), 4)
    with pytest.raises(DataError, match="offsets 4, 24: compare more events that differ, or give --offset"):
        compare_capture(path, "dat", SIDE, score)
    assert compare_capture(path, "dat", SIDE, score, offset=24).differing == 0


def test_offset_that_does_not_exist(tmp_path: Path) -> None:
    score = scores(40)
    path = captured(tmp_path / "file", "readmemh", scores(40, seed=2), 3)
    with pytest.raises(GateError, match=r"no latency offset fits; at the best, \d+, \d of 40 events agree"):
        compare_capture(path, "readmemh", SIDE, score)
    with pytest.raises(DataError, match="offset 11 leaves no 40 events; the offsets are 0 to 10"):
        compare_capture(path, "readmemh", SIDE, score, offset=11)


@pytest.mark.parametrize("form", FORMATS)
def test_capture_that_is_too_short(form: str, tmp_path: Path) -> None:
    path = captured(tmp_path / "file", form, scores(10), 0, more=0)
    with pytest.raises(
        DataError, match="holds 10 events, 11 are to be compared: capture more, or compare fewer"
    ):
        compare_capture(path, form, SIDE, scores(11))


@pytest.mark.parametrize("form", FORMATS)
def test_capture_as_deep_as_its_pattern(form: str, tmp_path: Path) -> None:
    """The last scores come after its end: that is no wrong score."""
    score = scores(40)
    lines = captured(tmp_path / "file", form, score, 7, more=0).read_text().splitlines()
    (tmp_path / "file").write_text("\n".join(lines[:-7]))
    held = 36 if form in BOARDS else 33  # two rows an event on a board
    said = f"ends before its last score: at offset 7 it holds {held} events, 40 are to be compared: capture"
    with pytest.raises(DataError, match=said):
        compare_capture(tmp_path / "file", form, SIDE, score)
    assert compare_capture(tmp_path / "file", form, SIDE, score[:held]).offset == 7


EMP = "ID: x\nMetadata: (strobe,) start of orbit, start of packet, end of packet, valid\n\n Link  000\n"
APX = "#Sideband ON\n#LinkLabel LINK_00\n#BeginData\n"
CTP7 = "====\nOutput LINK_00\n====\n"


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("emp", "Hello\n", "line 1: header 'Hello' is unknown: expected 'ID:' or 'Board '"),
        ("emp", "ID: x\nMetadata: none\n", "line 2: header 'Metadata: none' is unknown"),
        ("emp", EMP.replace("000", "q0"), "line 4: 'q0' names no links: expected such as 00 01"),
        ("emp", EMP, "holds no data"),
        (
            "emp",
            EMP + "Frame 0001  0001 0000000000000000\n",
            "line 5: 'Frame 0001  0001 000' does not begin row 0",
        ),
        (
            "emp",
            EMP + "Frame 0000  0001 00000000000000\n",
            "line 5: '0001 00000000000000' does not begin with a word",
        ),
        ("emp", EMP + "Frame 0000  0002 0000000000000000\n", "line 5: .* does not begin with a word"),
        ("apx", "#Sideband OFF\n", "line 1: header #Sideband 'OFF' is unknown"),
        ("apx", "#LinkLabel 00\n", "line 1: '00' names no links: expected such as LINK_00"),
        ("apx", APX.replace("LINK_00", "LINK_00 LINK_00"), "line 2: the header names a link twice"),
        ("apx", APX + "0x0000 0x01\n", "line 4: '0x01' does not begin with a word"),
        (
            "apx",
            APX + "0x0000 0x01 0x12 0x01 0x13\n",
            "line 4: the row has 2 words, the header names 1 links",
        ),
        ("ctp7", "Output LINK_00\n", "line 1: header 'Output LINK_00' is unknown: expected '==='"),
        ("ctp7", CTP7.replace("Output", "Results"), "line 2: header 'Results LINK_00' is unknown"),
        ("ctp7", CTP7 + "0x00000 0x123456789\n", "line 4: '0x123456789' does not begin with a word"),
        ("ctp7", CTP7 + "0x00000 0x0\n0x00002 0x0\n", "line 5: '0x00002 0x0' does not begin row 1"),
        (
            "ctp7",
            CTP7.replace("LINK_00", "LINK_01") + "0x0 0x0\n0x1 0x0\n",
            "has no link 0: the scores lie on links 0",
        ),
        ("ctp7", CTP7 + "0x00000 0x0\n", "has 1 rows, an event takes 2: it is cut short"),
        ("ctp7", "", "line 0: the file ends before its header"),
        ("dat", "1.5\n1.5 2\n", "line 2: 2 numbers, an event has 1 scores"),
        ("dat", "1.5\nmany\n", "line 2: 'many' is no number"),
        ("dat", "nan\n", "line 1: 'nan' is no number"),
        ("dat", "1_0\n", "line 1: '1_0' is no number"),
        ("dat", "1e999\n", "line 1: '1e999' is no number"),
        (
            "dat",
            "12.3333\n",
            "line 1: 12.3333 is no multiple of 0.00390625, the LSB of score1: print all its digits",
        ),
        ("dat", "300\n", "line 1: 300 does not fit score1, 16 bits"),
        ("readmemh", "0001\n00001\n", "line 2: 00001 has more than the 16 bits of the scores"),
        ("readmemh", "0001\ng001\n", "line 2: 'g001' is no hexadecimal word"),
        ("readmemh", "0001\n@5 0002\n", "line 2: address @5 where word 1 is expected"),
        ("readmemh", "// nothing\n", "holds no words"),
        pytest.param("emp", EMP.replace("000", "9" * 5000), "names no links", id="link of 5000 digits"),
        pytest.param(
            "emp", EMP + f"Frame {'0' * 5000} 0001 {'0' * 16}\n", "does not begin row 0", id="row, too"
        ),
    ],
)
def test_files_that_break_their_format(form: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "capture.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message if ".*" in message else re.escape(message)) as caught:
        read_stream(path, form, SIDE)
    assert str(caught.value).startswith(str(path))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("binary", "missing"):
        with pytest.raises(DataError, match=f"{name} cannot be read as text"):
            read_stream(tmp_path / name, "emp", SIDE)
