"""Text to objects: YAML as Kubernetes reads it, within limits, and refusals that can be found in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.objects.documents import MAX_BYTES, MAX_DOCUMENTS, MAX_PROBLEMS, parse, read, read_all, refuse_nothing
from mesh.objects.errors import ObjectsRefused
from tests.support.manifests import mesh_policy, namespace, network_policy, pod

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: api
  namespace: shop
spec:
  podSelector: {}
  ingress:
  - ports:
    - port: 80
    - port: 70000
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(text: str) -> list[str]:
    with pytest.raises(ObjectsRefused) as caught:
        parse(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_port_of_70000_is_refused_with_file_object_field_reason_and_line() -> None:
    assert refused(POLICY) == [
        "f.yaml: NetworkPolicy shop/api: spec.ingress[0].ports[1].port: 70000 is not within 1 to 65535 (line 11)"
    ]


def test_many_documents_and_lists() -> None:
    many = {"apiVersion": "v1", "kind": "List", "items": [namespace("a"), namespace("b")]}
    text = f"# nothing\n---\n---\n{json.dumps(many)}\n---\n{yaml.safe_dump(pod('a/c'))}"
    assert [str(item) for item in parse(text, "f.yaml")] == ["Namespace a", "Namespace b", "Pod a/c"]
    assert {item.file for item in parse(text, "f.yaml")} == {"f.yaml"}


@pytest.mark.parametrize("items", [None, []])
def test_a_list_may_be_empty(items: object) -> None:
    assert parse(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), "f.yaml") == ()


def test_a_list_of_one_kind_as_the_api_answers_it() -> None:
    item = {key: value for key, value in namespace("a").items() if key == "metadata"}
    answer = {"apiVersion": "v1", "kind": "NamespaceList", "metadata": {"resourceVersion": "1"}, "items": [item]}
    assert [str(found) for found in parse(json.dumps(answer), "f.yaml")] == ["Namespace a"]
    assert parse("{apiVersion: v1, kind: ConfigMapList, items: []}", "f.yaml") == ()
    assert "'BananaList' is not read" in refused("{apiVersion: v1, kind: BananaList, items: []}")[0]


def test_an_item_without_a_kind_is_found_by_its_place() -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace(), 7]})
    assert refused(text) == ["f.yaml: items[1]: expected an object with apiVersion and kind, found the number 7"]


def test_nothing_is_no_object() -> None:
    assert parse("", "f.yaml") == parse("---\n# only a comment\n---\n", "f.yaml") == ()


def test_aliases_work_as_in_kubernetes() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  labels: &l {a: b}\n  annotations: *l\n"
    (found,) = parse(text, "f.yaml")
    assert found.metadata.annotations == (("a", "b"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "more than 1000000 values, aliases counted as often as they are used"),
        ("a: &a [*a]", "alias *a has no anchor before it (line 1)"),
        ("[" * 5000, "nested deeper than 64 levels (line 1)"),
        ("- " * 5000 + "x", "nested deeper than 64 levels (line 1)"),
        ("a: {" * 5000, "nested deeper than 64 levels (line 1)"),
        ("#" * (MAX_BYTES + 1), "larger than 8 MiB; split it"),
        ("---\n" * (MAX_DOCUMENTS + 2), f"more than {MAX_DOCUMENTS} documents"),
        ("kind: Pod\nkind: Pod\n", "the key 'kind' stands twice in one mapping (line 2)"),
        ("a:\n  <<: {b: c}\n", "merge keys (<<) are not read; write the fields out (line 2)"),
        ("80: x\n", "keys of mappings must be text; write '80' in quotes (line 1)"),
        ("yes: x\n", "keys of mappings must be text; write 'yes' in quotes (line 1)"),
        ("? [a]\n: x\n", "keys of mappings must be text; write it in quotes (line 1)"),
        ("a: !!python/object/apply:os.system [x]", "tag 'tag:yaml.org,2002:python/object/apply:os.system' is not read"),
        ("a: !secret x", "tag '!secret' is not read"),
        ("a: 1" + "0" * 5000, "a number of 5001 digits is too long; write it in quotes where it is text (line 1)"),
        ("a: [", "is not YAML: did not find expected node content"),
        ("a: b: c", "is not YAML: mapping values are not allowed in this context (line 1)"),
        ("\ta: b", "is not YAML: a tab where it is indented; YAML takes spaces alone (line 1)"),
        ("a:\n- b:\n  \tc: d", "is not YAML: a tab where it is indented; YAML takes spaces alone (line 3)"),
        ("a: @b\t", "is not YAML: found character that cannot start any token"),
        ("a: \x00", "is not YAML"),
        ("\ud800", "is not valid Unicode"),
    ],
)
def test_text_that_cannot_be_read_is_refused(text: str, reason: str) -> None:
    (found,) = refused(text)
    assert found.startswith(f"f.yaml: {reason}")


@pytest.mark.parametrize(
    ("scalar", "found"),
    [
        ("yes", "the boolean true"), ("Off", "the boolean false"), ("0x10", "the number 16"), ("010", "the number 8"),
        ("1e3", "the number 1000.0"), ("~", None), ("1", "the number 1"), ("-1.5", "the number -1.5"),
    ],
)  # fmt: skip
def test_plain_scalars_mean_what_kubernetes_reads(scalar: str, found: str | None) -> None:
    text = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{a: {scalar}}}}}\n"
    reason = f"found {found}; write it in quotes" if found else "found nothing"
    assert refused(text) == [f"f.yaml: Namespace shop: metadata.labels.a: expected text, {reason} (line 3)"]


@pytest.mark.parametrize("scalar", ["y", "n", "'yes'", '"1"', "2001-01-01", "v1.2.3", "1.2.3", "12.34.56", "!!str 1"])
def test_what_is_text_stays_text(scalar: str) -> None:
    (found,) = parse(f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop, labels: {{a: {scalar}}}}}\n", "f.yaml")
    assert dict(found.metadata.labels)["a"] == scalar.strip("'\"").removeprefix("!!str ")


def test_a_file_that_is_wrong_throughout_is_not_listed_in_full() -> None:
    problems = refused("---\n".join(["kind: Nothing\napiVersion: v1\n"] * 500))
    assert len(problems) == MAX_PROBLEMS + 1
    assert "the rest was not read" in problems[-1]


def test_every_problem_of_every_document_is_reported() -> None:
    text = "---\n".join(yaml.safe_dump(network_policy(f"shop/p{number}", ingres=[])) for number in range(3))
    assert [problem.split(": ")[1] for problem in refused(text)] == [f"NetworkPolicy shop/p{n}" for n in range(3)]


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_objects_or_a_refusal(text: str) -> None:
    try:
        parse(text, "f.yaml")
    except ObjectsRefused as caught:
        assert caught.problems


VALID = yaml.safe_dump_all(
    [namespace(), pod(), network_policy(), mesh_policy(ingress=[{"http": [{"methods": ["GET"]}]}])]
)


@given(st.integers(0, len(VALID)), st.integers(0, 30), st.text(alphabet=" \n-:{}[]&*!|>'\"%@#?,abc01", max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_gives_objects_or_a_refusal(at: int, cut: int, put: str) -> None:
    try:
        parse(VALID[:at] + put + VALID[at + cut :], "f.yaml")
    except ObjectsRefused as caught:
        assert caught.problems


def test_manifests_of_a_real_cluster_are_taken_as_they_are() -> None:
    taken = parse(Path(__file__).with_name("real_cluster.yaml").read_text(), "real_cluster.yaml")
    assert [item.kind for item in taken] == ["Namespace", "Pod", "Deployment", "Service", "NetworkPolicy"]


def test_several_files_are_read_whole_and_refused_together() -> None:
    good, bad = json.dumps(pod()), "kind: Nonsense"
    assert [item.key for item in read_all([("a.yaml", good), ("b.yaml", "")]).objects] == [parse(good, "a.yaml")[0].key]
    with pytest.raises(ObjectsRefused) as refused:
        read_all([("a.yaml", bad), ("b.yaml", good), ("c.yaml", bad)])
    assert [problem.file for problem in refused.value.problems] == ["a.yaml", "c.yaml"]


@pytest.mark.parametrize("text", ["", "---\n---\n# none\n", "null", "apiVersion: v1\nkind: List\nitems: []\n"])
def test_a_file_that_holds_nothing_can_be_refused(text: str) -> None:
    with pytest.raises(ObjectsRefused, match=r"^a.yaml: holds no object$"):
        refuse_nothing(read(text, "a.yaml"), ["a.yaml"])
    other = read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "a.yaml")
    assert refuse_nothing(other, ["a.yaml"]) is other, "an object that is passed by is one"
