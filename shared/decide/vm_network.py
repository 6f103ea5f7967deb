"""What a check says of a machine's network: may it reach what its backups need, and if not, what
is in the way and the command that lets it through."""

from collections import defaultdict
from collections.abc import Iterator

from shared.decide.vm_reach import SERVICES, STORAGE, Service, Verdict, judge, route_to
from shared.model.inspection import Hop, Interface, Route, Rule, SecurityGroup
from shared.model.vm_check import Finding, ok, problem, warning

FIRST_PRIORITY, LAST_PRIORITY = 100, 4096
"""The numbers that people's rules may have; the lowest goes before all others."""
PROXY = (
    "Behind a proxy set it for the agent: on Linux HttpProxy.Host and HttpProxy.Port in "
    "/etc/waagent.conf, on Windows the local system's proxy; 168.63.129.16 (ports 80 and 32526) "
    "must be reached without it."
)


def network_findings(interface: Interface, region: str) -> Iterator[Finding]:
    """Of the interface that the machine's traffic leaves by."""
    found = [
        *_by_rules(interface, region),
        *_by_routes(interface, region),
        *_without_way_out(interface, region),
    ]
    if not found:
        names = ", ".join(service.name for service in SERVICES)
        seen = f"nothing on the way keeps it from {names} on port 443"
        found = [ok("NetworkOpen", f"network {interface.name}", seen)]
    yield from found


def _by_rules(interface: Interface, region: str) -> Iterator[Finding]:
    for group in interface.security_groups:
        given: set[int] = set()
        for service in SERVICES:
            verdict = judge(group, interface, service, region)
            if not verdict.is_clear:
                yield _obstructed(interface, group, service, verdict, given)


def _obstructed(
    interface: Interface, group: SecurityGroup, service: Service, verdict: Verdict, given: set[int]
) -> Finding:
    subject, where = f"network {interface.name}", f"security group {group.name} of the {group.at}"
    fix = _opening(group, service, verdict, given)
    if not verdict.allowed:
        by = f"rule {_told(verdict.rule)}" if verdict.rule else "having no rule that allows it"
        seen = f"{where} denies {service.name} on port 443, by {by}"
        return problem("NetworkDenied", subject, seen, fix)
    names = ", ".join(map(_told, verdict.doubts))
    seen = f"{where} denies some public addresses, by {names}; {service.name} may be among them"
    return warning("NetworkPartlyDenied", subject, seen, fix)


def _told(rule: Rule) -> str:
    return f"{rule.name} (priority {rule.priority})"


def _opening(group: SecurityGroup, service: Service, verdict: Verdict, given: set[int]) -> str:
    """The command that allows the service, under the number nearest before the rule in the way
    that is neither taken nor `given` to another service; it is given then."""
    rule = verdict.obstacle
    before = rule.priority if rule else LAST_PRIORITY + 1
    taken = {each.priority for each in group.rules} | given
    numbers = range(min(before - 1, LAST_PRIORITY), FIRST_PRIORITY - 1, -1)
    priority = next((each for each in numbers if each not in taken), None)
    if priority is None:
        return _move(group, rule.name if rule else "NAME")
    given.add(priority)
    return _allow(group, service, priority)


def _move(group: SecurityGroup, rule: str) -> str:
    """Where no number is left before the rule."""
    return (
        f"Give rule {rule} a higher number, so that there is room before it, and check again: "
        f"az network nsg rule update --resource-group {group.group} --nsg-name {group.name} "
        f"--name {rule} --priority NUMBER"
    )


def _allow(group: SecurityGroup, service: Service, priority: int) -> str:
    return (
        f"az network nsg rule create --resource-group {group.group} --nsg-name {group.name} "
        f"--name Allow{service.tag}OutBound --priority {priority} --direction Outbound "
        f"--access Allow --protocol Tcp --destination-address-prefixes {service.tag} "
        "--destination-port-ranges 443"
    )


def _by_routes(interface: Interface, region: str) -> Iterator[Finding]:
    """One finding a route, with all services that take it."""
    by_route: dict[Route, list[Service]] = defaultdict(list)
    for service in SERVICES:
        if route := route_to(interface.routes, service, region):
            by_route[route].append(service)
    for route, services in by_route.items():
        names = ", ".join(service.name for service in services)
        if finding := _of_route(interface, route, names, services):
            yield finding


def _of_route(
    interface: Interface, route: Route, names: str, services: list[Service]
) -> Finding | None:
    subject, where = f"network {interface.name}", f"route {route.name} ({route.prefix})"
    match route.hop:
        case Hop.NONE | Hop.NETWORK:
            seen = f"{where} drops what goes to {names}"
            return problem("RouteDrops", subject, seen, _own_routes(route, services))
        case Hop.APPLIANCE:
            seen = f"{where} takes what goes to {names} to the firewall at {route.address}"
            return warning("BehindFirewall", subject, seen, _let_through(interface))
        case Hop.GATEWAY:
            seen = f"{where} takes what goes to {names} to your own network"
            fix = f"Let it through there on port 443, or: {_own_routes(route, services)}"
            return warning("ForcedTunnel", subject, seen, fix)
    return None


def _own_routes(route: Route, services: list[Service]) -> str:
    group, _, table = route.table.partition("/")
    return "; ".join(
        f"az network route-table route create --resource-group {group} --route-table-name {table} "
        f"--name {service.tag} --address-prefix {service.tag} --next-hop-type Internet"
        for service in services
    )


def _let_through(interface: Interface) -> str:
    return (
        "See that it lets this through. Azure Firewall has an FQDN tag for it: az network firewall "
        "application-rule create --resource-group GROUP --firewall-name FIREWALL "
        "--collection-name Backup --name AzureBackup --priority 200 --action Allow "
        f"--source-addresses {interface.address or 'ADDRESS'} --protocols Https=443 "
        f"--fqdn-tags AzureBackup. {PROXY}"
    )


def _without_way_out(interface: Interface, region: str) -> Iterator[Finding]:
    """Of a private subnet: what goes to the internet ends there, unless something takes it on."""
    if not interface.private_subnet or interface.has_way_out:
        return
    stranded = [
        service.name
        for service in SERVICES
        if _goes_to_the_internet(route_to(interface.routes, service, region))
        and not (service is STORAGE and "Microsoft.Storage" in interface.endpoints)
    ]
    if stranded:
        yield problem(
            "NoWayOut",
            f"network {interface.name}",
            f"subnet {interface.subnet} is private and has no way to {', '.join(stranded)}",
            "Give it one: `az network nat gateway create`, then `az network vnet subnet update "
            f"--nat-gateway NAME` for {interface.subnet}; or route it to a firewall.",
        )


def _goes_to_the_internet(route: Route | None) -> bool:
    return route is None or route.hop is Hop.INTERNET
