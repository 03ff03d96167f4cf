"""Kubernetes' syntax rules for names, labels, ports, addresses and HTTP words.

Each check takes a text and answers None, or the reason why it is refused: a sentence that goes behind the field's name.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from mesh.model import Address, Prefix

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}")

# Besides `proxy-*`. Rules on them would never match.
_OF_ONE_HOP = frozenset({"connection", "keep-alive", "te", "upgrade", "http2-settings"})
# The IANA registry's methods that HTTP/1.1 parsers know; a misspelt one would never match.
METHODS = frozenset(
    (
        "ACL",
        "BIND",
        "CHECKOUT",
        "CONNECT",
        "COPY",
        "DELETE",
        "GET",
        "HEAD",
        "LINK",
        "LOCK",
        "M-SEARCH",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "NOTIFY",
        "OPTIONS",
        "PATCH",
        "POST",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "PUT",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "TRACE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    )
)


def dns_label(text: str) -> str | None:
    if len(text) > 63 or not _LABEL.fullmatch(text):
        return f"{_shown(text)} is not a name of 1 to 63 lower-case letters, digits and '-' (RFC 1123 label)"
    return None


def dns_subdomain(text: str) -> str | None:
    if len(text) > 253 or not _SUBDOMAIN.fullmatch(text):
        return f"{_shown(text)} is not a name of up to 253 lower-case letters, digits, '-' and '.' (RFC 1123)"
    return None


def label_key(text: str) -> str | None:
    prefix, slash, name = text.rpartition("/")
    if slash and dns_subdomain(prefix):
        return f"{_shown(text)}: {_shown(prefix)} before the slash is not a DNS name"
    if len(name) > 63 or not _LABEL_NAME.fullmatch(name):
        return f"{_shown(text)} is not a label key: up to 63 letters, digits, '-', '_', '.', optionally after PREFIX/"
    return None


def label_value(text: str) -> str | None:
    if text and (len(text) > 63 or not _LABEL_NAME.fullmatch(text)):
        return f"{_shown(text)} is not a label value: up to 63 letters, digits, '-', '_', '.'"
    return None


def port_name(text: str) -> str | None:
    letters = any(char.isalpha() for char in text)
    if len(text) > 15 or not _PORT_NAME.fullmatch(text) or "--" in text or not letters:
        return f"{_shown(text)} is not a port name: up to 15 lower-case letters, digits and '-', at least one letter"
    return None


def environment_name(text: str) -> str | None:
    return None if _ENV_NAME.fullmatch(text) else f"{_shown(text)} is not a name for an environment variable"


def program_text(text: str) -> str | None:
    """A word of a command line or environment; the kernel ends them with a NUL."""
    return "a NUL cannot be passed to a program" if "\0" in text else None


def qualified_account(text: str) -> str | None:
    namespace, slash, name = text.partition("/")
    if not slash or dns_label(namespace) or dns_subdomain(name):
        return f"{_shown(text)} is not of the form NAMESPACE/NAME"
    return None


def trust_domain(text: str) -> str | None:
    if not _TRUST_DOMAIN.fullmatch(text):
        return f"{_shown(text)} is not a trust domain (lower-case letters, digits, '.', '_', '-', up to 255)"
    return None


def http_method(text: str) -> str | None:
    if text in METHODS:
        return None
    if text.upper() in METHODS:
        return f"{_shown(text)}: methods are case-sensitive, write {text.upper()}"
    return f"{_shown(text)} is not an HTTP method"


def header_name(text: str) -> str | None:
    """The name of a field that rules can look at: they look at what the proxy passes on."""
    if not _TOKEN.fullmatch(text):
        return f"{_shown(text)} is not a header name (RFC 9110 token)"
    lower = text.lower()
    if lower == "host":
        return f"{_shown(text)}: write `hosts` instead, which is compared without case and port"
    if lower in _OF_ONE_HOP or lower.startswith("proxy-"):
        return f"{_shown(text)}: the proxy takes this field away before rules look, it concerns one connection alone"
    return None


def host_name(text: str) -> str | None:
    """A host as requests name it. Ports and wildcards are refused with a word of their own: both look plausible."""
    if "*" in text:
        return f"{_shown(text)}: wildcards in hosts are not supported yet"
    lower = text.lower()
    if dns_subdomain(lower) is None or address(text.strip("[]")) is not None:
        return None
    if ":" in text:
        return f"{_shown(text)}: give the host without a port"
    return f"{_shown(text)} is not a host name"


def address(text: str) -> Address | None:
    """The address, or None where the text is none. Zones and v4-mapped addresses are not taken."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and (found.scope_id is not None or found.ipv4_mapped is not None):
        return None
    return found


def ip(text: str) -> str | None:
    if _is_mapped(text):
        return f"{_shown(text)} is IPv4 in IPv6 spelling; write it as IPv4"
    return None if address(text) is not None else f"{_shown(text)} is not an IPv4 or IPv6 address"


def usable_ip(text: str) -> str | None:
    """An address that a pod can be reached at by others."""
    found = address(text)
    if found is None:
        return ip(text)
    if found.is_loopback or found.is_unspecified or found.is_multicast or found.is_link_local:
        return f"{_shown(text)} cannot be reached from elsewhere: loopback, unspecified, multicast or link-local"
    return None


def prefix(text: str) -> Prefix | None:
    """The prefix, without the bits behind its length; None where `loose_cidr` refuses."""
    return ip_network(text, strict=False) if loose_cidr(text) is None else None


def cidr(text: str) -> str | None:
    """A prefix with no bit set behind its length."""
    reason = loose_cidr(text)
    wide = prefix(text)
    if wide is not None and wide.network_address != address(text.partition("/")[0]):
        return f"{_shown(text)} has bits set behind the prefix; write {wide}"
    return reason


def loose_cidr(text: str) -> str | None:
    """A prefix that may have bits set behind its length, as Kubernetes takes it in an `ipBlock`."""
    base, slash, length = text.partition("/")
    if _is_mapped(base):
        return f"{_shown(text)} is IPv4 in IPv6 spelling; write it as IPv4"
    found = address(base)
    if found is None or not slash or not _PREFIX_LENGTH.fullmatch(length):
        return f"{_shown(text)} is not a CIDR such as 10.0.0.0/8 or fd00::/8"
    width = 32 if isinstance(found, IPv4Address) else 128
    if int(length) > width:
        return f"{_shown(text)}: the prefix length goes up to {width}"
    return None


def _is_mapped(text: str) -> bool:
    """Whether an IPv4 address is spelt as IPv6 (::ffff:10.0.0.1)."""
    try:
        return IPv6Address(text).ipv4_mapped is not None
    except ValueError:
        return False


def _shown(text: str) -> str:
    """The text as a person should see it: quoted, and not a page of it."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
