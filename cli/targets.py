"""Which disks a person means: one, those of a list, or those with a prefix or a tag."""

from dataclasses import dataclass

from cli.documents import document
from cli.session import Session
from shared.contracts.fields import index_tag, scope_url
from shared.model.arm_ids import disk_id, is_arm_id, is_machine_id, machine_id
from shared.model.errors import Invalid, NotFound
from shared.model.ids import DiskUrl, ItemId, default_item_id, item_id
from shared.model.inventory import Scope, Tag
from shared.steps.side_by_side import side_by_side


@dataclass(frozen=True)
class Target:
    source: DiskUrl
    item: ItemId


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which disks, as the person says it."""

    source: str | None
    id: str | None
    prefix: str | None
    tag: str | None
    file: str | None

    def check(self) -> None:
        """Raises `Invalid` unless exactly one way of naming disks is taken."""
        ways = [self.source, self.prefix or self.tag, self.file]
        if sum(way is not None for way in ways) != 1:
            raise Invalid(
                "name the disks in one way: SOURCE, --prefix and --tag, or --from",
                action="See `vaultline protect --help`.",
            )
        if self.id and not self.source:
            raise Invalid("--id is for one SOURCE", action="Write ids into the --from file.")

    async def targets(self, session: Session) -> list[Target]:
        """The disks, and the items that they are or become. Raises `NotFound` for none."""
        if self.file is not None:
            lines = [line.split() for line in _lines(document(self.file))]
            pairs = [(DiskUrl(words[0]), words[1] if words[1:] else None) for words in lines]
        else:
            pairs = [(url, None) for url in await self._search(session)]
        if not pairs:
            raise NotFound("there is no page blob to protect", action="Look at the prefix or tag.")
        return await side_by_side(pairs, lambda pair: target_of(session, *pair))

    async def _search(self, session: Session) -> list[DiskUrl]:
        tag = _tag(self.tag) if self.tag else None
        roots = [_prefix(self.prefix)] if self.prefix else list(session.endpoints.values())
        searches = [session.ports.disks.search(Scope(url=root, tag=tag)) for root in roots]
        found = [disk.url for search in searches async for page in search for disk in page]
        return sorted(set(found))


def _lines(text: str) -> list[str]:
    """Lines that say something: `#` begins a comment."""
    told = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in told if line]


def _prefix(text: str) -> str:
    try:
        return scope_url(text)
    except Invalid as error:
        raise Invalid(f"--prefix {error}") from None


def _tag(text: str) -> Tag:
    try:
        return index_tag(text)
    except Invalid as error:
        raise Invalid(f"--tag {error}") from None


async def target_of(session: Session, source: DiskUrl, id_: str | None) -> Target:
    """The item asked for, or the one that protects the disk already, or the disk's default.
    Raises `Invalid` for what is meant as a managed disk's id and is none."""
    if is_arm_id(source):
        source = machine_id(source).url if is_machine_id(source) else disk_id(source).url
    if id_:
        return Target(source, item_id(id_))
    known = await session.ports.inventory.disk(source)
    return Target(source, (known and known.item) or default_item_id(source))
