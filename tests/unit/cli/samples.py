"""Documents as the controller gives them, with what a test says on top."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def pod(name: str = "client", namespace: str = "shop", *, ip: str = "10.1.0.2", node: str = "node-1") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "serviceAccountName": name,
            "containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}, {"ip": "fd00::2"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def service(name: str = "payments", namespace: str = "shop") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.7",
            "clusterIPs": ["10.96.0.7", "fd00:10:96::7"],
            "selector": {"app": name},
            "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}],
        },
    }


def endpoint_slice(name: str = "payments-v4", namespace: str = "shop", owner: str = "payments") -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [
            {
                "addresses": ["10.1.0.3"],
                "conditions": {"ready": True},
                "nodeName": "node-1",
                "targetRef": {"kind": "Pod", "name": "payments"},
            },
            {"addresses": ["10.1.0.9"], "conditions": {"ready": False}},
        ],
    }


def mesh_policy(name: str = "payments", namespace: str = "shop") -> Json:
    return {
        "apiVersion": "weft.dev/v1alpha1",
        "kind": "MeshPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": "payments"}},
            "ingress": [
                {
                    "name": "read-only",
                    "from": [{"serviceAccounts": ["shop/checkout"]}],
                    "ports": [{"port": 8080}],
                    "http": [{"methods": ["GET"], "paths": [{"prefix": "/api/"}]}],
                },
                {"action": "Deny", "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            ],
        },
    }


def network_policy(name: str = "quiet", namespace: str = "shop") -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{}]},
    }


def node(name: str = "node-1") -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.7.2"}]},
    }


def status_node(name: str = "node-1", *, enforced: int = 17, state: str = "connected", **over: Any) -> Json:
    return {
        "name": name,
        "state": state,
        "ackedRevision": enforced,
        "enforcedRevision": enforced,
        "revision": 17,
        "lag": 17 - enforced,
        "ageSeconds": 1,
        "endpoints": 4,
        "endpointsEnforced": 4,
        "proxyWorkers": 1,
        "warnings": [],
        **over,
    }


def status(*nodes: Json, settled: bool = True, **controller: Any) -> Json:
    return {
        "controller": {"version": "0.1.0", "revision": 17, "state": "serving", **controller},
        "nodes": list(nodes or (status_node(), status_node("node-2"))),
        "objects": {"Pod": 7, "MeshPolicy": 2},
        "settled": settled,
    }


def flow(**over: Any) -> Json:
    return {
        "id": "node-1/1",
        "time": "2026-01-02T12:01:03.123456789Z",
        "node": "node-1",
        "direction": "ingress",
        "verdict": "deny",
        "layer": "L7",
        "protocol": "TCP",
        "from": {
            "namespace": "shop",
            "pod": "client",
            "serviceAccount": "client",
            "identity": 256,
            "ip": "10.1.0.2",
            "port": 40000,
        },
        "to": {
            "namespace": "shop",
            "pod": "payments",
            "serviceAccount": "payments",
            "identity": 257,
            "ip": "10.1.0.3",
            "port": 8080,
        },
        "service": "shop/payments",
        "dropReason": "http-policy",
        "policies": ["shop/payments"],
        "rule": "ingress[0]",
        "decidedBy": [{"policy": "shop/payments", "kind": "MeshPolicy", "rule": "ingress[0]", "action": "Allow"}],
        "count": 1,
        "http": {"method": "POST", "path": "/charge", "status": 403, "host": "payments"},
        **over,
    }


def check(**over: Any) -> Json:
    refs = [
        {
            "policy": "shop/payments",
            "kind": "MeshPolicy",
            "rule": "ingress[0]",
            "name": "read-only",
            "action": "Allow",
        }
    ]
    return {
        "verdict": "deny",
        "layer": "L7",
        "decidedBy": refs,
        "egress": {
            "verdict": "allow",
            "layer": "L3L4",
            "needsL7": False,
            "default": True,
            "decidedBy": [],
        },
        "ingress": {"verdict": "deny", "layer": "L7", "needsL7": True, "default": True, "decidedBy": refs},
        "needsL7": True,
        "message": "denied by default: no rule of shop/payments allows the request",
        "from": {"namespace": "shop", "pod": "client"},
        "to": {"namespace": "shop", "pod": "payments"},
        **over,
    }
