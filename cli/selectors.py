"""Selectors, peers, ports and HTTP matches of a policy as short text. Pure.

Written as a person would say them: `app=web`, `all pods`, `10.0.0.0/8 except 10.1.0.0/16`, `TCP/8080-8090`.
"""

from __future__ import annotations

from cli.document import Json, dig, rows, table, text, texts

EVERYTHING = "all"


def labels(found: object) -> str:
    """`a=1,b=2`."""
    return ",".join(f"{key}={value}" for key, value in table(found).items())


def selector(found: object) -> str:
    """A LabelSelector; `all` for the empty one, and nothing where there is none."""
    if not isinstance(found, dict):
        return ""
    parts = [f"{key}={value}" for key, value in table(found, "matchLabels").items()]
    for expression in rows(found, "matchExpressions"):
        key, values = text(expression, "key"), ",".join(texts(expression, "values"))
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }.get(text(expression, "operator"), f"{key} {text(expression, 'operator')} ({values})")
        )
    return ",".join(parts) or EVERYTHING


def peer(found: Json) -> str:
    """One entry of `from` or `to`."""
    if "ipBlock" in found:
        except_ = texts(found, "ipBlock", "except")
        return text(found, "ipBlock", "cidr") + (f" except {', '.join(except_)}" if except_ else "")
    for key, word in (("serviceAccounts", "service accounts"), ("entities", "entities")):
        if key in found:
            return f"{word} {', '.join(texts(found, key))}"
    pods = selector(dig(found, "podSelector"))
    namespaces = selector(dig(found, "namespaceSelector"))
    said = f"pods {pods}" if pods and pods != EVERYTHING else "all pods"
    if namespaces:
        return f"{said} in namespaces {namespaces}" if namespaces != EVERYTHING else f"{said} in any namespace"
    return said


def port(found: Json) -> str:
    """One entry of `ports`."""
    protocol = text(found, "protocol", default="TCP")
    low, high = text(found, "port"), text(found, "endPort")
    if not low:
        return f"{protocol}/any"
    return f"{protocol}/{low}-{high}" if high else f"{protocol}/{low}"


def compared(found: Json) -> str:
    """`exact /a`, `prefix /api/`, `present`."""
    return next(
        (how if value is True else f"{how} {value}" for how, value in found.items() if how != "name"), "anything"
    )


def http(found: Json) -> str:
    """One entry of `http`."""
    parts = []
    if methods := texts(found, "methods"):
        parts.append(",".join(methods))
    if paths := rows(found, "paths"):
        parts.append("path " + " or ".join(compared(path) for path in paths))
    if hosts := texts(found, "hosts"):
        parts.append(f"host {' or '.join(hosts)}")
    parts += [f"header {text(header, 'name')} {compared(header)}" for header in rows(found, "headers")]
    return ", ".join(parts) or "any request"


def directions(policy: Json) -> list[str]:
    """`policyTypes`, with Kubernetes' default: Ingress always, Egress where the policy has egress rules.

    A MeshPolicy without the field speaks of the directions that it has rules for.
    """
    given = texts(policy, "spec", "policyTypes")
    if given:
        return given
    egress = ["Egress"] if rows(policy, "spec", "egress") else []
    if text(policy, "kind") == "MeshPolicy" and egress and not rows(policy, "spec", "ingress"):
        return egress
    return ["Ingress", *egress]
