"""The documentation as a site: ``make docs``.

The source folder is the top of the checkout, so a link between Markdown files serves the site and a web view
of the repository alike. Nothing is fetched, neither in a build nor by a reader's browser.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, get_args, get_origin

import numpy as np
import sphinx.util.inspect
import sphinx.util.typing
from sphinx import addnodes

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "src"), str(TOP / "tools")]

project = html_title = "zerobias"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "models/*/README.md", "triggers/README.md"]
exclude_patterns = ["docs/_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "start.html"}
templates_path = ["."]
html_copy_source = html_show_copyright = False
highlight_language = "text"

autodoc_default_options = {"exclude-members": "model_config"}
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
maximum_signature_line_length = 90
nitpick_ignore_regex = [
    # Types of other packages: their documentation is on the network.
    (r"py:.*", r"(alkaid|collections|keras|numpy|pathlib|rich|types|typing)\..*"),
    (r"py:class", r"NDArray"),
    # A type variable.
    (r"py:class", r"zerobias\.specs\.Spec"),
]

_stringify = sphinx.util.typing.stringify_annotation


def _annotation(annotation, *arguments, **options):
    """An annotation as it is written: an array is ``NDArray[dtype]``; what pydantic checks is left out."""
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    if get_origin(annotation) is np.ndarray:
        (dtype,) = get_args(get_args(annotation)[1])
        return f"NDArray[{_annotation(dtype, *arguments, **options)}]"
    return _stringify(annotation, *arguments, **options)


# autodoc has no event for the types of attributes.
for module in (sphinx.util.typing, sphinx.util.inspect):
    module.stringify_annotation = _annotation

_FROM_CODE = re.compile(r"^```\{(keys|commands)\} *(\S*) *(json)?\n```$", re.MULTILINE)


def _write_api(app):
    """Write the pages of the Python interface, which git ignores."""
    from site_api import api_pages, import_types
    from zerobias.zoo import load_keras

    load_keras()
    folder = TOP / "docs" / "reference" / "api"
    folder.mkdir(exist_ok=True)
    pages = {folder / f"{name}.rst": text for name, text in api_pages().items()}
    for path in set(folder.iterdir()) - set(pages):
        path.unlink()
    for path, text in pages.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # another build may be reading
            path.write_text(text, encoding="utf-8")
    import_types()


def _from_code(app, name, source):
    """Put what is made from the code in the place of the blocks ``{keys} MODEL``, also with ``json``, and
    ``{commands}``."""
    from typer.main import get_command

    from site_commands import command_text
    from site_keys import key_text

    def text(found):
        if found[1] == "commands":
            return command_text(get_command(import_module("zerobias.cli.app").app), "zerobias")
        module, _, model = found[2].rpartition(".")
        return key_text(getattr(import_module(module), model), toml=found[3] is None)

    source[0] = _FROM_CODE.sub(text, source[0])


def _plain(app, what, name, value, options, lines):
    """In docstrings ``*`` and ``|`` are characters: shapes such as (events, *shape), sizes such as |eta|."""
    for number, line in enumerate(lines):
        parts = re.split(r"(``[^`]*``)", line)
        parts[::2] = [re.sub(r"([*|])(?=\w)", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def _folders(app, doctree):
    """A link to a folder, ``models/``, leads to its README, or is plain text where it has none."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node["reftype"] == "myst" and node["reftarget"].endswith("/"):
            page = f"{app.env.relfn2path(node['reftarget'])[0]}/README"
            if page in app.env.found_docs:
                node.attributes |= {"refdomain": "doc", "reftarget": page, "reftargetid": None}
            elif (app.srcdir / page).parent.is_dir():
                node.replace_self(node.children)


def setup(app):
    app.connect("builder-inited", _write_api)
    app.connect("source-read", _from_code)
    app.connect("autodoc-process-docstring", _plain)
    app.connect("doctree-read", _folders)
