"""Specification files: a fault is one line that names the file, the key's path and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from zerobias.errors import SpecError
from zerobias.specs import load_toml, validate


class Field3(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    width: int
    offset: tuple[float, ...] = ()


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    fields: tuple[Field3, ...] = ()


class Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    group: tuple[Group, ...] = ()
    matrix: tuple[tuple[int, ...], ...] = ()
    reuse: int = Field(default=1, alias="reuse_factor")


def load(tmp_path: Path, text: str) -> Spec:
    path = tmp_path / "model.toml"
    path.write_text(text)
    return load_toml(path, Spec)


def test_nested_lists_are_read(tmp_path: Path) -> None:
    text = """
    name = "m"
    matrix = [[1, 2], [3]]
    reuse_factor = 4
    [[group]]
    name = "jet"
    fields = [{ width = 11, offset = [26.0, 20.5] }, { width = 8 }]
    """
    spec = load(tmp_path, text)
    assert spec.matrix == ((1, 2), (3,))
    assert spec.reuse == 4
    assert [f.width for f in spec.group[0].fields] == [11, 8]
    assert spec.group[0].fields[0].offset == (26.0, 20.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'name = "m"\n[[group]]\nname = "a"\n[[group]]\nname = "b"\nfields = [{ width = 1, ofset = [] }]',
            "unknown key 'group.1.fields.0.ofset'; did you mean 'offset'?",
        ),
        ('name = "m"\nreuse_facto = 2', "unknown key 'reuse_facto'; did you mean 'reuse_factor'?"),
        (
            'name = "m"\nmatrix = [[1], [2, "x"]]',
            "matrix.1.1: Input should be a valid integer, unable to parse string as an integer (given: 'x')",
        ),
        ('name = "m"\n[[group]]\nfields = []', "group.0.name: Field required"),
    ],
)
def test_full_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert str(caught.value) == f"{tmp_path / 'model.toml'}: {message}"


@pytest.mark.parametrize(
    "text",
    ["name = ", "name = 'a\nb'", 'name = "a"\nname = "b"', "[group", 'name = "a\\nb"\nmatrix = "c\\nd"', ""],
)
def test_every_message_is_one_line_and_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "model.toml"))


def test_broken_syntax_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"not valid TOML: .*line 3"):
        load(tmp_path, 'name = "m"\n\nreuse_factor = =')


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_toml(tmp_path, Spec)


def test_validate_does_not_change_what_it_is_given() -> None:
    data = {"name": "m", "matrix": [[1]]}
    validate(data, Spec, "here")
    assert data == {"name": "m", "matrix": [[1]]}
