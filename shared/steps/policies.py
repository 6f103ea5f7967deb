"""Policies as the steps see them: those that were applied, and the default one."""

from shared.contracts.policy import default_policy
from shared.model.errors import NotFound
from shared.model.ids import PolicyName
from shared.model.policy import Policy
from shared.ports import Ports


async def policy_of(ports: Ports, name: PolicyName) -> Policy:
    """The policy of that name; `default` exists from the start. Raises `NotFound`."""
    try:
        return await ports.catalog.policy(name)
    except NotFound:
        default = default_policy()
        if name == default.name:
            return default
        raise


async def all_policies(ports: Ports) -> list[Policy]:
    """Every policy that an item may be put under, by name."""
    applied = {policy.name: policy for policy in await ports.catalog.policies()}
    default = default_policy()
    return [known for _, known in sorted(({default.name: default} | applied).items())]
