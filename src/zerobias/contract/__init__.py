"""Stage 1, the input contract: declared features and the one exact scaling that follows."""

from zerobias.contract.contract import Contract, Feature
from zerobias.contract.cpp import markdown_table, scaling_header
from zerobias.contract.fit import fit_contract, unit_fault
from zerobias.contract.fixedtype import FixedType, IntArray
from zerobias.contract.preprocessing import cast_values, preprocessing_layer
from zerobias.contract.spec import ContractSpec, FieldSpec, GroupSpec, TypeField

__all__ = [
    "Contract",
    "ContractSpec",
    "Feature",
    "FieldSpec",
    "FixedType",
    "GroupSpec",
    "IntArray",
    "TypeField",
    "cast_values",
    "fit_contract",
    "markdown_table",
    "preprocessing_layer",
    "scaling_header",
    "unit_fault",
]
