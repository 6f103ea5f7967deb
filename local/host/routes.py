"""Route templates of HTTP triggers, as the Functions host matches them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from local.host.settings import SettingsError

_PARAMETER = re.compile(
    r"\{(?P<rest>\*{0,2})(?P<name>\w+)(?::(?P<kind>[^}=?]+))?(?:=(?P<default>[^}?]*))?(?P<maybe>\?)?\}"
)
_KINDS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "bool": r"(?:true|false)",
    "guid": r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
    "alpha": r"[a-z]+",
}


@dataclass(frozen=True)
class Route:
    """A compiled template; ``literal_segments`` orders routes, the most literal first."""

    template: str
    pattern: re.Pattern[str]
    defaults: Mapping[str, str]
    literal_segments: int

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of ``path`` (without slashes at its ends), or None."""
        found = self.pattern.fullmatch(path)
        if not found:
            return None
        given = {name: text for name, text in found.groupdict().items() if text is not None}
        return {**self.defaults, **given}


def parse_route(template: str) -> Route:
    """Compile a template such as ``items/{id:int}/{part?}`` or ``files/{*path}``.

    Matching ignores case. Raises SettingsError for a constraint that is not supported.
    """
    segments = [segment for segment in template.strip("/").split("/") if segment]
    pattern, defaults, literals = "", {}, 0
    for position, segment in enumerate(segments):
        whole = _PARAMETER.fullmatch(segment)
        if whole and (default := whole["default"]) is not None:
            defaults[whole["name"]] = default
        literals += not _PARAMETER.search(segment)
        text = _segment_pattern(template, segment)
        slash = "/" if position else ""
        optional = whole and (whole["maybe"] or whole["default"] is not None or whole["rest"])
        pattern += f"(?:{slash}{text})?" if optional else slash + text
    return Route(template, re.compile(pattern, re.IGNORECASE), defaults, literals)


def _segment_pattern(template: str, segment: str) -> str:
    pattern, end = "", 0
    for parameter in _PARAMETER.finditer(segment):
        pattern += re.escape(segment[end : parameter.start()])
        pattern += f"(?P<{parameter['name']}>{_value_pattern(template, parameter)})"
        end = parameter.end()
    rest = segment[end:]
    if "{" in rest or "}" in rest:
        raise SettingsError(f"route '{template}': '{segment}' cannot be read")
    return pattern + re.escape(rest)


def _value_pattern(template: str, parameter: re.Match[str]) -> str:
    if parameter["rest"]:
        return ".*"
    kind = parameter["kind"]
    if kind is None:
        return "[^/]+?"
    if kind.casefold() not in _KINDS:
        raise SettingsError(
            f"route '{template}': the local host does not support the constraint '{kind}'"
        )
    return _KINDS[kind.casefold()]
