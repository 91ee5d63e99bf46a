"""Tree ensembles: decision trees whose leaf values are added, and fitted scikit-learn models as such."""

from zerobias.trees.convert import from_gradient_boosting, from_isolation_forest
from zerobias.trees.ensemble import LEAF, TreeEnsemble

__all__ = ["LEAF", "TreeEnsemble", "from_gradient_boosting", "from_isolation_forest"]
