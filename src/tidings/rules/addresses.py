"""Which network addresses the server may be sent to by what somebody wrote.

A user names the gateways and pages that the server calls; without this they
could have it call its own machine and its neighbours (SSRF).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# RFC 6052: an IPv4 address in the last four bytes, which a translator calls.
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))

# RFC 6890, of which Python releases know more or less.
_PROTOCOLS = IPv4Network("192.0.0.0/24")


def is_public(address: str) -> bool:
    """Whether an address is of the open internet; False for what is no address."""
    parsed = _parse(address)
    return parsed is not None and all(map(_is_global, (parsed, *_inner(parsed))))


def is_loopback(address: str) -> bool:
    """Whether an address is of this very machine."""
    parsed = _parse(address)
    return parsed is not None and parsed.is_loopback


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    if isinstance(address, IPv4Address) and address in _PROTOCOLS:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64):
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [inner for inner in found if inner is not None]
