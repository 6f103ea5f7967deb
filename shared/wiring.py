"""The one composition root: settings in, ports over Azure (or the laptop's stack) out."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from types import TracebackType

from azure.core.credentials_async import AsyncTokenCredential
from azure.data.tables.aio import TableServiceClient
from azure.identity.aio import DefaultAzureCredential
from azure.servicebus.aio import ServiceBusClient

