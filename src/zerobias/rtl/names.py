"""Names a top level may have: legal in Verilog and in VHDL."""

from __future__ import annotations

import re

from zerobias.errors import SpecError

__all__ = ["check_name"]

_LEGAL = re.compile(r"[a-z](_?[a-z0-9])*")
# IEEE 1364-2005 annex B and IEEE 1076-2008 clause 15.10.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
abs access after alias all always and architecture array assert assign assume attribute automatic begin
block body buf buffer bufif0 bufif1 bus case casex casez cell cmos component config configuration
constant context cover deassign default defparam design disable disconnect downto edge else elsif end
endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask entity
event exit fairness file for force forever fork function generate generic genvar group guarded highz0
highz1 if ifnone impure in incdir include inertial initial inout input instance integer is join label
large liblist library linkage literal localparam loop macromodule map medium mod module nand negedge new
next nmos nor noshowcancelled not notif0 notif1 null of on open or others out output package parameter
pmos port posedge postponed primitive procedure process property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure range rcmos real realtime record reg register reject release
rem repeat report restrict restrict_guarantee return rnmos rol ror rpmos rtran rtranif0 rtranif1
scalared select sequence severity shared showcancelled signal signed sla sll small specify specparam sra
srl strong strong0 strong1 subtype supply0 supply1 table task then time to tran tranif0 tranif1
transport tri tri0 tri1 triand trior trireg type unaffected units unsigned until use uwire variable
vectored vmode vprop vunit wait wand weak0 weak1 when while wire with wor xnor xor
""",
    )
)


def check_name(name: str) -> None:
    """Raise ``SpecError`` unless ``name`` is an identifier of both languages."""
    if _LEGAL.fullmatch(name) is None or name in _RESERVED:
        raise SpecError(
            f"{name!r} cannot name a module: use small letters, digits and single underscores, "
            "and no reserved word of Verilog or VHDL"
        )
