"""What only the whole intent can show."""

from __future__ import annotations

from mesh.objects.references import check, duplicates
from tests.support.manifests import Document, mesh_policy, namespace, network_policy, node, objects, pod

HTTP = {"containerPort": 8080, "name": "http"}


def problems(*documents: Document) -> list[str]:
    return [str(problem) for problem in check(objects(*documents))[0]]


def warnings(*documents: Document) -> list[str]:
    found, warned = check(objects(*documents))
    assert found == ()
    return [str(problem) for problem in warned]


def test_a_whole_intent_has_neither() -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa", "namespace": "shop"}}
    payments = pod("shop/payments", "10.0.0.1", nodeName="one", serviceAccountName="sa")
    assert check(objects(namespace(), node(), account, payments, network_policy())) == ((), ())


def test_duplicates_are_refused() -> None:
    assert [problem.reason for problem in duplicates(objects(namespace(), pod(), pod()))] == [
        "the same Pod is given twice; first"
    ]


def test_the_same_name_in_another_kind_or_namespace_is_no_duplicate() -> None:
    given = (pod("default/a"), pod("kube-system/a"), network_policy("default/a"), mesh_policy("default/a"))
    assert problems(*given) == []


def test_an_address_has_one_owner_of_whatever_kind() -> None:
    """A pod with a node's address would pass for the node, which may do everything."""
    home = node()
    home["status"] = {"addresses": [{"type": "InternalIP", "address": "10.0.0.9"}]}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]},
    }
    found = problems(namespace(), pod("shop/a", "10.0.0.9"), pod("shop/b", "10.0.0.1"), service, home)
    assert found == [
        f"Pod shop/a: status.podIPs: 10.0.0.9 is the address of Node {home['metadata']['name']} already",
        "Service shop/s: spec.clusterIPs: 10.0.0.1 is the address of Pod shop/b already",
    ]


def test_dangling_references_are_refused() -> None:
    assert problems(network_policy("bank/p")) == [
        "NetworkPolicy bank/p: metadata.namespace: there is no Namespace 'bank'"
    ]
    assert problems(namespace(), node("one"), pod(nodeName="two")) == [
        "Pod shop/payments: spec.nodeName: there is no Node 'two'"
    ]
    assert problems(namespace(), pod(serviceAccountName="sa")) == [
        "Pod shop/payments: spec.serviceAccountName: there is no ServiceAccount shop/sa"
    ]


def test_without_nodes_any_node_name_will_do() -> None:
    assert problems(namespace(), pod(nodeName="two")) == []


def test_one_address_belongs_to_one_pod() -> None:
    assert problems(namespace(), pod("shop/a", "10.0.0.1"), pod("shop/b", "10.0.0.1")) == [
        "Pod shop/b: status.podIPs: 10.0.0.1 is the address of Pod shop/a already"
    ]


def test_an_address_of_a_finished_pod_is_free() -> None:
    finished = pod("shop/a", "10.0.0.1")
    finished["status"]["phase"] = "Failed"
    assert problems(namespace(), finished, pod("shop/b", "10.0.0.1")) == []


def test_a_policy_that_selects_nothing_is_warned_about() -> None:
    policy = network_policy(podSelector={"matchLabels": {"app": "nothing"}})
    assert warnings(namespace(), pod(), policy) == [
        "NetworkPolicy shop/policy: spec.podSelector: selects no pod at present"
    ]


def test_pods_that_a_deployment_will_make_count() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "ports": [HTTP]}]}}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }  # fmt: skip
    policy = network_policy(podSelector={"matchLabels": {"app": "web"}}, ingress=[{"ports": [{"port": "http"}]}])
    assert warnings(namespace(), deployment, policy) == []


def test_a_pod_on_the_nodes_network_is_warned_about() -> None:
    assert warnings(namespace(), pod(hostNetwork=True)) == [
        "Pod shop/payments: spec.hostNetwork: the pod has the node's identity and is no subject of policy"
    ]


def test_a_port_name_that_nobody_has_is_warned_about() -> None:
    rule = {"ports": [{"port": 80}, {"port": "htpp"}]}
    assert warnings(namespace(), pod(ports=[HTTP]), mesh_policy(ingress=[rule])) == [
        "MeshPolicy shop/policy: spec.ingress[0].ports[1].port: no pod has a TCP port named 'htpp' at present"
    ]


def test_an_account_that_nobody_has_is_warned_about() -> None:
    policy = mesh_policy(ingress=[{"from": [{"serviceAccounts": ["shop/default", "shop/nobody"]}]}])
    assert warnings(namespace(), pod(), policy) == [
        (
            "MeshPolicy shop/policy: spec.ingress[0].from[0].serviceAccounts: "
            "there is no ServiceAccount shop/nobody at present"
        )
    ]


def test_egress_port_names_may_belong_to_another_namespace() -> None:
    policy = network_policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])
    assert warnings(namespace(), namespace("bank"), pod(), pod("bank/b", ports=[HTTP]), policy) == []


def test_rules_without_effect_are_warned_about() -> None:
    policy = network_policy(policyTypes=["Ingress"], egress=[{}])
    assert warnings(namespace(), pod(), policy) == [
        "NetworkPolicy shop/policy: spec.egress: policyTypes does not name Egress, so these rules have no effect"
    ]


def test_a_target_port_that_nobody_has_is_warned_about() -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"},
        "spec": {"selector": {"app": "payments"}, "ports": [{"port": 80, "targetPort": "web"}]},
    }  # fmt: skip
    assert warnings(namespace(), pod(ports=[HTTP]), service) == [
        "Service shop/s: spec.ports[0].targetPort: no pod has a TCP port named 'web' at present"
    ]


def test_a_port_name_of_another_protocol_is_warned_about() -> None:
    policy = network_policy(ingress=[{"ports": [{"port": "http", "protocol": "UDP"}, {"port": "http"}]}])
    assert warnings(namespace(), pod(ports=[HTTP]), policy) == [
        "NetworkPolicy shop/policy: spec.ingress[0].ports[0].port: no pod has a UDP port named 'http' at present"
    ]


def test_advice_on_single_objects_is_among_the_warnings() -> None:
    assert len(warnings(namespace(), pod(hostPID=True))) == 1
