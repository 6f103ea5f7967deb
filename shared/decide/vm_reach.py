"""Whether a machine reaches an Azure service on port 443, by the rules and routes on its way.

Rules go by priority, the first that fits decides; the interface's security group and the subnet's
must both let it through. A rule about some public addresses may or may not be about the service:
that is told as a doubt. Source: Azure's pages on network security groups and on routing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, ip_address, ip_network

from shared.model.inspection import Interface, Route, Rule, SecurityGroup

PORT = 443
_EVERYWHERE = frozenset({"*", "internet", "0.0.0.0/0"})
_FROM_ALL = frozenset({"*", "0.0.0.0/0", "virtualnetwork"})


@dataclass(frozen=True)
class Service:
    """An Azure service, by the service tag that names its addresses. `is_near` where those of the
    machine's own region are enough."""

    name: str
    tag: str
    is_near: bool = True


BACKUP = Service("Azure Backup", "AzureBackup")
STORAGE = Service("Azure Storage", "Storage")
DIRECTORY = Service("Microsoft Entra ID", "AzureActiveDirectory", is_near=False)
SERVICES = (BACKUP, STORAGE, DIRECTORY)
"""What backups need of the network (source: Azure Backup's pages)."""


class Fit(IntEnum):
    """How much of the way to a service something is about."""

    NONE = 0
    SOME = 1
    ALL = 2


@dataclass(frozen=True)
class Verdict:
    """What a security group says. `rule` decided; `doubts` may deny it before that."""

    allowed: bool
    rule: Rule | None
    doubts: tuple[Rule, ...] = ()

    @property
    def is_clear(self) -> bool:
        return self.allowed and not self.doubts

    @property
    def obstacle(self) -> Rule | None:
        """The first rule that is, or may be, in the way; None where it is the end of all rules."""
        return self.doubts[0] if self.doubts else self.rule


def judge(group: SecurityGroup, interface: Interface, service: Service, region: str) -> Verdict:
    """By the first rule that fits; where none does, Azure denies."""
    doubts: list[Rule] = []
    for rule in sorted(group.rules, key=lambda each: each.priority):
        fit = fits(rule, interface, service, region)
        if fit is Fit.ALL:
            return Verdict(rule.allows, rule, tuple(doubts) if rule.allows else ())
        if fit is Fit.SOME and not rule.allows:
            doubts.append(rule)
    return Verdict(allowed=False, rule=None)


def fits(rule: Rule, interface: Interface, service: Service, region: str) -> Fit:
    """How much of the interface's way to the service the rule is about."""
    if rule.to_groups or rule.protocol.casefold() not in ("*", "tcp"):
        return Fit.NONE
    if not any(_has_port(ports) for ports in rule.ports):
        return Fit.NONE
    there = max((_covers(each, service, region) for each in rule.destinations), default=Fit.NONE)
    return min(there, _comes_from(rule, interface))


def _has_port(ports: str) -> bool:
    low, dash, high = ports.partition("-")
    if ports == "*":
        return True
    return low.isdecimal() and int(low) <= PORT <= int(high if dash else low)


def _covers(prefix: str, service: Service, region: str) -> Fit:
    told, home = prefix.casefold(), region.casefold().replace(" ", "")
    tags = {service.tag.casefold(), "azurecloud"}
    if told in _EVERYWHERE or told in tags:
        return Fit.ALL
    if told in {f"{tag}.{home}" for tag in tags}:
        return Fit.ALL if service.is_near else Fit.SOME
    network = _network(told)
    return Fit.NONE if network is None or network.is_private else Fit.SOME


def _comes_from(rule: Rule, interface: Interface) -> Fit:
    if set(rule.source_groups) & set(interface.application_groups):
        return Fit.ALL
    return max((_holds(each, interface.address) for each in rule.sources), default=Fit.NONE)


def _holds(prefix: str, address: str) -> Fit:
    if prefix.casefold() in _FROM_ALL:
        return Fit.ALL
    network = _network(prefix)
    if network is None:
        return Fit.NONE
    if not address:
        return Fit.SOME
    return Fit.ALL if ip_address(address) in network else Fit.NONE


def _network(prefix: str) -> IPv4Network | None:
    """None for what is a tag, or of IPv6, which no backup needs."""
    try:
        network = ip_network(prefix, strict=False)
    except ValueError:
        return None
    return network if isinstance(network, IPv4Network) else None


def route_to(routes: Iterable[Route], service: Service, region: str) -> Route | None:
    """The route that traffic to the service takes; None where it is Azure's own, to the internet.
    A route for the service goes before one for all of Azure, and that before the default one."""
    by_prefix = {route.prefix.casefold(): route for route in routes}
    home = region.casefold().replace(" ", "")
    tag = service.tag.casefold()
    order = (f"{tag}.{home}", tag, f"azurecloud.{home}", "azurecloud", "0.0.0.0/0")
    return next((by_prefix[each] for each in order if each in by_prefix), None)
