"""Label selectors: parsed, and asked whether they match. The semantics are Kubernetes' (apimachinery `labels`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from mesh.objects.names import label_key, label_value
from mesh.objects.reader import Reader


class Operator(Enum):
    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One entry of `matchExpressions`. `matchLabels` become IN with one value."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                # An absent key passes: the label does not have one of these values.
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; without any, everything is selected."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(requirement.key for requirement in self.requirements)


EVERYTHING = LabelSelector()


def read_selector(reader: Reader) -> LabelSelector:
    requirements = [
        Requirement(key, Operator.IN, frozenset((value,)))
        for key, value in reader.pairs("matchLabels", label_key, label_value)
    ]
    requirements += [_read_expression(item) for item in reader.each("matchExpressions")]
    reader.close()
    return LabelSelector(tuple(requirements))


def _read_expression(reader: Reader) -> Requirement:
    key = reader.text("key", check=label_key) if reader.require("key") else ""
    word = reader.choice("operator", [operator.value for operator in Operator])
    values = reader.texts("values", label_value)
    if not reader.has("operator"):
        reader.refuse("operator", "is missing")
    operator = Operator(word) if word else Operator.EXISTS
    takes_values = operator in (Operator.IN, Operator.NOT_IN)
    if word and takes_values and not reader.raw("values"):
        reader.refuse("values", f"{word} needs at least one value")
    if word and not takes_values and reader.raw("values"):
        reader.refuse("values", f"{word} takes no values")
    reader.close()
    return Requirement(key, operator, frozenset(values))
