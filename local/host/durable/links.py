"""The URLs of the durable HTTP API, and the payload of the durable client binding."""

import json
from dataclasses import dataclass
from urllib.parse import quote

WEBHOOK_PATH = "/runtime/webhooks/durabletask"
RPC_PATH = "/durabletask"

_OPERATIONS = {
    "statusQueryGetUri": "",
    "sendEventPostUri": "/raiseEvent/{eventName}",
    "terminatePostUri": "/terminate",
    "rewindPostUri": "/rewind",
    "purgeHistoryDeleteUri": "",
    "restartPostUri": "/restart",
    "suspendPostUri": "/suspend",
    "resumePostUri": "/resume",
}
_WITH_REASON = ("terminatePostUri", "rewindPostUri", "suspendPostUri", "resumePostUri")


@dataclass(frozen=True)
class DurableLinks:
    """``origin`` is the public address, ``rpc_origin`` the one for the SDK in the worker."""

    origin: str
    rpc_origin: str
    hub_name: str
    key: str

    @property
    def query(self) -> str:
        return f"taskHub={quote(self.hub_name)}&connection=Storage&code={quote(self.key)}"

    def management(self, instance_id: str) -> dict[str, str]:
        """``id`` and the URL of every operation on an instance."""
        base = f"{self.origin}{WEBHOOK_PATH}/instances/{instance_id}"
        links = {"id": instance_id}
        for name, path in _OPERATIONS.items():
            reason = "reason={text}&" if name in _WITH_REASON else ""
            links[name] = f"{base}{path}?{reason}{self.query}"
        return links

    def client_binding(self) -> str:
        """What a durable client parameter receives."""
        base = f"{self.origin}{WEBHOOK_PATH}"
        start = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]?{self.query}"
        return json.dumps(
            {
                "taskHubName": self.hub_name,
                "creationUrls": {
                    "createNewInstancePostUri": start,
                    "createAndWaitOnNewInstancePostUri": start
                    + "&timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}",
                },
                "managementUrls": self.management("INSTANCEID"),
                "baseUrl": base,
                "requiredQueryStringParameters": self.query,
                "rpcBaseUrl": f"{self.rpc_origin}{RPC_PATH}/",
            }
        )
