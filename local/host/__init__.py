"""A local Azure Functions host: the real ``function_app.py``, driven as Azure would drive it.

``python -m local.host --app-dir ROOT --data-dir DIR --port P`` runs in the foreground. It loads
the app, makes the Python worker's checks, and listens: HTTP, timers, Service Bus queues, Durable
orchestrations. SIGTERM drains; state in DIR survives ``kill -9``.

The host knows nothing of the app, and the app nothing of the host: settings are the environment.
"""
