"""Ports: those asked for must be free, those saved are kept where they are."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace

import pytest

from local.errors import PortTaken
from local.ports import PORT_NAMES, Ports, choose_ports, free_ports, holder_of, is_free

pytestmark = pytest.mark.stack


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield int(server.getsockname()[1])


def test_without_wishes_all_ports_are_free_and_distinct() -> None:
    ports = asdict(choose_ports({}, None, ())).values()
    assert len(set(ports)) == len(ports)
    assert all(is_free(port) for port in ports)


def test_saved_ports_are_kept_and_one_taken_meanwhile_is_replaced(taken: int) -> None:
    saved = replace(Ports(*free_ports(len(PORT_NAMES))), host=taken)
    chosen = choose_ports({}, saved, ())
    assert asdict(chosen) == {**asdict(saved), "host": chosen.host}
    assert chosen.host != taken


def test_a_port_of_a_running_component_stays(taken: int) -> None:
    saved = replace(Ports(*free_ports(len(PORT_NAMES))), host=taken)
    assert choose_ports({"host": taken}, saved, ("host",)) == saved


def test_a_taken_port_asked_for_is_an_error_that_names_port_and_holder(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"Port {taken}.*service_bus.*\(pid {os.getpid()}\)"):
        choose_ports({"service_bus": taken}, None, ())


def test_a_wish_wins_over_what_was_saved() -> None:
    *saved, wish = free_ports(len(PORT_NAMES) + 1)
    assert choose_ports({"blob": wish}, Ports(*saved), ()).blob == wish


def test_a_free_port_has_an_unknown_holder() -> None:
    assert holder_of(free_ports(1)[0]) == "another process"
