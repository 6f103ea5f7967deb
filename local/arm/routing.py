"""From a method and a path to the operation that answers it; names are case-insensitive."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from local.arm.answers import Answer, JsonObject
from local.arm.faults import Fate

GROUP_SCOPE = "/subscriptions/{subscription}/resourceGroups/{group}"


@dataclass(frozen=True)
class Call:
    """One request, as its handler sees it. `now` is service time; `origin` the server's URL.

    `fate` and `failure` are what a scripted fault has decided for the operation it starts.
    """

    operation: str
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: JsonObject
    api_version: str
    principal: str
    now: datetime
    origin: str
    fate: Fate | None = None
    failure: JsonObject | None = None

    @property
    def subscription(self) -> str:
        return self.params["subscription"]

    @property
    def target(self) -> str:
        """The id of the resource in question: a POST's path ends with what to do with it."""
        return self.path.rpartition("/")[0] if self.method == "POST" else self.path

    @property
    def group(self) -> str:
        """The resource group, in the caller's spelling."""
        return self.params["group"]


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """An operation: its name in Azure's API specification, and where it is found.

    `template` has literal segments and `{parameters}`, each one whole segment. Where it has a
    `{group}`, the server answers 404 by itself for a group that is not there.
    """

    method: str
    template: str
    operation: str
    handler: Handler = field(repr=False)
    checks_group: bool = True


@dataclass(frozen=True)
class Match:
    """The route of a request and the values of its parameters, as the caller spelled them."""

    route: Route
    params: Mapping[str, str]


def split_path(raw_path: str) -> tuple[str, ...]:
    """The decoded segments of a path; an encoded `;` or `/` belongs to its segment."""
    return tuple(unquote(segment) for segment in raw_path.strip("/").split("/"))


def joined(segments: Sequence[str]) -> str:
    return "/" + "/".join(segments)


def _parameter(segment: str) -> str | None:
    return segment[1:-1] if segment.startswith("{") else None


def _bind(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    bound: dict[str, str] = {}
    for wanted, given in zip(template, segments, strict=True):
        name = _parameter(wanted)
        if name is not None:
            bound[name] = given
        elif wanted.casefold() != given.casefold():
            return None
    return bound


class Router:
    """All routes; the first registered that fits answers."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._by_length: dict[int, list[tuple[tuple[str, ...], Route]]] = {}
        for route in routes:
            template = tuple(route.template.strip("/").split("/"))
            self._by_length.setdefault(len(template), []).append((template, route))

    def match(self, method: str, segments: Sequence[str]) -> Match | None:
        for template, route in self._by_length.get(len(segments), ()):
            if route.method == method:
                params = _bind(template, segments)
                if params is not None:
                    return Match(route, params)
        return None
