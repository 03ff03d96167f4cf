"""The intent: immutable, and the same after a way through the store's rows."""

from __future__ import annotations

import pytest

from controller.errors import NoSuchThing, StoreDamaged
from controller.intent import Intent, from_row, object_id, to_row
from controller.store import StoredObject
from mesh.model import Revision
from tests.unit.controller.manifests import SHOP, intent_of


def test_rows_keep_everything_but_the_revision_that_the_store_stamps() -> None:
    for entry in intent_of(SHOP).entries.values():
        again = from_row(to_row(entry))
        assert (again.object, again.source, again.status_by) == (entry.object, entry.source, entry.status_by)


def test_a_damaged_row_is_named() -> None:
    row = StoredObject(id=("Pod", "shop", "pay"), json='{"kind":1', uid="u", created="", source="user", status_by="")
    with pytest.raises(StoreDamaged, match="row of Pod/shop/pay is damaged"):
        from_row(row)


def test_a_change_makes_a_new_intent() -> None:
    before = intent_of(SHOP)
    after = before.changed(Revision(9), (), [("Pod", "shop", "pay")])
    assert ("Pod", "shop", "pay") in before.entries
    assert ("Pod", "shop", "pay") not in after.entries
    assert after.revision == 9
    assert [entry.object.metadata.name for entry in after.of_kind("Pod")] == ["client"]


def test_a_document_shows_its_revision_and_is_a_copy() -> None:
    (entry,) = intent_of(SHOP.split("---")[0]).entries.values()
    document = entry.document()
    assert document["metadata"]["resourceVersion"] == "1"
    assert "resourceVersion" not in entry.object.document["metadata"]
    assert object_id(entry.object) == ("Namespace", "", "shop")
    assert list(Intent().objects()) == []


def test_objects_are_found_by_kind_namespace_and_name() -> None:
    intent = intent_of(SHOP)

    def names(*asked: object) -> list[str]:
        return [entry.object.metadata.name for entry in intent.find(*asked)]  # type: ignore[arg-type]

    assert names(("Pod",), "shop", "") == names(("Pod",), None, "") == ["client", "pay"]
    assert names(("Pod", "Namespace"), "shop", "") == ["client", "pay", "shop"]
    assert names(("Pod",), "elsewhere", "") == []
    with pytest.raises(NoSuchThing, match="there is no Pod pay in namespace elsewhere"):
        intent.find(("Pod",), "elsewhere", "pay")
