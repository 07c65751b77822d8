"""Groups, representations, field types and intertwiners: the symmetry that a lattice model's force carries exactly."""

from ennforce.symmetry.fields import FieldType, Term
from ennforce.symmetry.groups import PointGroup
from ennforce.symmetry.intertwiners import intertwiner_basis

__all__ = ["FieldType", "PointGroup", "Term", "intertwiner_basis"]
