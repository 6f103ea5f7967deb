"""Whether a machine reaches Azure's services: rules by priority, routes, and fixes that work."""

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.vm_network import network_findings
from shared.decide.vm_reach import (
    BACKUP,
    DIRECTORY,
    SERVICES,
    STORAGE,
    Fit,
    fits,
    judge,
    route_to,
)
from shared.model.inspection import Hop, Interface, Route, Rule, SecurityGroup
from shared.model.vm_check import Finding, State
from tests.unit.vm_seen import default_rules, interface

REGION = "westeurope"


def rule(priority: int = 200, allows: bool = False, **more: Any) -> Rule:
    return Rule(**{"name": f"rule{priority}", "priority": priority, "allows": allows, **more})


def group(*rules: Rule, at: str = "subnet") -> SecurityGroup:
    return SecurityGroup(name="nsg", group="rg", at=at, rules=(*rules, *default_rules()))


def found(of: Interface) -> list[Finding]:
    return list(network_findings(of, REGION))


def behind(*rules: Rule, **more: Any) -> list[Finding]:
    return found(interface(security_groups=(group(*rules),), **more))


def test_without_rules_and_routes_everything_is_reached() -> None:
    assert [each.code for each in found(interface())] == ["NetworkOpen"]
    assert [each.code for each in behind()] == ["NetworkOpen"]


def test_a_deny_rule_is_named_with_its_priority_and_the_rules_to_add() -> None:
    backup, storage, directory = behind(rule(200, destinations=("Internet",)))
    assert backup.seen == (
        "security group nsg of the subnet denies Azure Backup on port 443, "
        "by rule rule200 (priority 200)"
    )
    assert backup.fix == (
        "az network nsg rule create --resource-group rg --nsg-name nsg "
        "--name AllowAzureBackupOutBound --priority 199 --direction Outbound --access Allow "
        "--protocol Tcp --destination-address-prefixes AzureBackup --destination-port-ranges 443"
    )
    assert "--priority 198 " in storage.fix
    assert "prefixes Storage " in storage.fix
    assert "--priority 197 " in directory.fix
    assert "prefixes AzureActiveDirectory " in directory.fix


def test_a_rule_goes_before_those_with_higher_numbers() -> None:
    allow = [rule(100 + at, True, destinations=(s.tag,)) for at, s in enumerate(SERVICES)]
    assert [each.code for each in behind(*allow, rule(200))] == ["NetworkOpen"]
    late = [rule(300 + at, True, destinations=(s.tag,)) for at, s in enumerate(SERVICES)]
    assert len(behind(*late, rule(200))) == 3


def test_both_levels_must_let_it_through() -> None:
    of = interface(security_groups=(group(at="interface"), group(rule(), at="subnet")))
    assert {each.seen.split(" of the ")[1].split()[0] for each in found(of)} == {"subnet"}
    of = interface(security_groups=(group(rule(), at="interface"), group(rule(), at="subnet")))
    assert len(found(of)) == 6


def test_where_no_number_is_left_the_denying_rule_has_to_move() -> None:
    [first, *_] = behind(rule(100))
    assert first.fix.startswith("Give rule rule100 a higher number")
    *_, last = behind(rule(102))
    assert "nsg rule update" in last.fix


@pytest.mark.parametrize(
    ("change", "fit"),
    [
        ({}, Fit.ALL),
        ({"protocol": "Tcp"}, Fit.ALL),
        ({"protocol": "Udp"}, Fit.NONE),
        ({"ports": ("80", "400-500")}, Fit.ALL),
        ({"ports": ("80",)}, Fit.NONE),
        ({"ports": ("444-500",)}, Fit.NONE),
        ({"destinations": ("storage",)}, Fit.ALL),
        ({"destinations": ("Storage.WestEurope",)}, Fit.ALL),
        ({"destinations": ("Storage.NorthEurope",)}, Fit.NONE),
        ({"destinations": ("AzureCloud",)}, Fit.ALL),
        ({"destinations": ("Sql",)}, Fit.NONE),
        ({"destinations": ("VirtualNetwork",)}, Fit.NONE),
        ({"destinations": ("10.0.0.0/8",)}, Fit.NONE),
        ({"destinations": ("20.38.0.0/16",)}, Fit.SOME),
        ({"destinations": ("fd00::/8",)}, Fit.NONE),
        ({"destinations": (), "to_groups": True}, Fit.NONE),
        ({"sources": ("10.0.0.0/24",)}, Fit.ALL),
        ({"sources": ("10.0.1.0/24",)}, Fit.NONE),
        ({"sources": ("VirtualNetwork",)}, Fit.ALL),
        ({"sources": (), "source_groups": ("/asg/web",)}, Fit.ALL),
        ({"sources": (), "source_groups": ("/asg/db",)}, Fit.NONE),
    ],
)
def test_what_a_rule_is_about(change: dict[str, Any], fit: Fit) -> None:
    of = interface(application_groups=("/asg/web",))
    assert fits(rule(**change), of, STORAGE, "West Europe") is fit


def test_entra_is_not_of_one_region() -> None:
    home = rule(destinations=("AzureCloud.WestEurope",))
    assert fits(home, interface(), BACKUP, REGION) is Fit.ALL
    assert fits(home, interface(), DIRECTORY, REGION) is Fit.SOME


def test_a_rule_about_some_public_addresses_is_a_doubt_and_no_more() -> None:
    some = rule(150, destinations=("20.38.0.0/16", "10.0.0.0/8"))
    told = behind(some)
    assert {each.state for each in told} == {State.WARNING}
    assert "rule150 (priority 150)" in told[0].seen
    behind_allow = [rule(110, True, destinations=("AzureCloud",)), some]
    assert [each.code for each in behind(*behind_allow)] == ["NetworkOpen"]
    some_allowed = rule(150, True, destinations=("20.38.0.0/16",))
    assert len(behind(some_allowed, rule(200))) == 3


def route(prefix: str, hop: Hop, address: str = "") -> Route:
    return Route(name="r", prefix=prefix, hop=hop, address=address, table="rg/table")


def test_the_nearest_route_decides() -> None:
    default = route("0.0.0.0/0", Hop.APPLIANCE, "10.1.0.4")
    own = route("AzureBackup", Hop.INTERNET)
    here = route("Storage.WestEurope", Hop.NONE)
    routes = (default, own, here, route("10.2.0.0/16", Hop.NONE))
    assert route_to(routes, BACKUP, REGION) is own
    assert route_to(routes, STORAGE, REGION) is here
    assert route_to(routes, DIRECTORY, REGION) is default
    assert route_to((), DIRECTORY, REGION) is None


def test_a_firewall_is_to_let_it_through_and_a_route_to_nowhere_is_a_problem() -> None:
    [one] = found(interface(routes=(route("0.0.0.0/0", Hop.APPLIANCE, "10.1.0.4"),)))
    assert (one.code, one.state) == ("BehindFirewall", State.WARNING)
    assert "10.1.0.4" in one.seen
    assert "--fqdn-tags AzureBackup" in one.fix
    [one] = found(interface(routes=(route("0.0.0.0/0", Hop.NONE),)))
    assert (one.code, one.state) == ("RouteDrops", State.PROBLEM)
    assert "--route-table-name table --name AzureBackup --address-prefix AzureBackup" in one.fix
    [one] = found(interface(routes=(route("0.0.0.0/0", Hop.GATEWAY),)))
    assert (one.code, one.state) == ("ForcedTunnel", State.WARNING)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "NoWayOut"),
        ({"has_way_out": True}, "NetworkOpen"),
        ({"routes": (route("0.0.0.0/0", Hop.APPLIANCE, "10.1.0.4"),)}, "BehindFirewall"),
        ({"routes": (route("0.0.0.0/0", Hop.INTERNET),)}, "NoWayOut"),
    ],
)
def test_a_private_subnet_needs_a_way_out(change: dict[str, Any], code: str) -> None:
    assert [each.code for each in found(interface(private_subnet=True, **change))] == [code]


def test_a_service_endpoint_is_a_way_to_storage() -> None:
    [one] = found(interface(private_subnet=True, endpoints=("Microsoft.Storage",)))
    assert STORAGE.name not in one.seen
    assert BACKUP.name in one.seen


# ---------------------------------------------------------------- whatever the rules are

PREFIXES = ("*", "Internet", "AzureCloud", "Storage", "AzureBackup", "VirtualNetwork", "10.0.0.0/8")
RULES = st.lists(
    st.builds(
        Rule,
        name=st.just("r"),
        priority=st.integers(111, 400),
        allows=st.booleans(),
        protocol=st.sampled_from(("*", "Tcp", "Udp")),
        sources=st.sampled_from((("*",), ("10.0.0.0/24",), ("10.9.0.0/24",))),
        destinations=st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=3).map(tuple),
        ports=st.sampled_from((("*",), ("443",), ("80",), ("400-500",))),
    ),
    max_size=8,
    unique_by=lambda each: each.priority,
)


@given(RULES)
def test_what_the_fixes_say_opens_the_way(rules: list[Rule]) -> None:
    closed = group(*rules)
    told = found(interface(security_groups=(closed,)))
    added = [_rule_of(each.fix) for each in told if each.code == "NetworkDenied"]
    assert len({each.priority for each in added}) == len(added)
    opened = group(*rules, *added)
    assert [each.code for each in found(interface(security_groups=(opened,)))] == ["NetworkOpen"]


def _rule_of(command: str) -> Rule:
    """The rule that an `az network nsg rule create` makes."""
    words = shlex.split(command)
    options = dict(zip(words[5::2], words[6::2], strict=True))
    assert (options["--access"], options["--direction"]) == ("Allow", "Outbound")
    return Rule(
        name=options["--name"],
        priority=int(options["--priority"]),
        allows=True,
        protocol=options["--protocol"],
        destinations=(options["--destination-address-prefixes"],),
        ports=(options["--destination-port-ranges"],),
    )


@given(RULES)
def test_a_verdict_is_that_of_the_first_rule_that_fits(rules: list[Rule]) -> None:
    within, of = group(*rules), interface()
    verdict = judge(within, of, STORAGE, REGION)
    assert verdict.rule is not None
    assert verdict.allowed is verdict.rule.allows
    earlier = [each for each in within.rules if each.priority < verdict.rule.priority]
    assert all(fits(each, of, STORAGE, REGION) is not Fit.ALL for each in earlier)
