"""What the real worker refuses, the local host refuses, naming the function and the reason."""

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pytest

from local.host.loading import AppLoadError, IndexedFunction, index_app

ROOT = Path("app")


def index(*apps: Any) -> tuple[IndexedFunction, ...]:
    module = types.ModuleType("function_app")
    for number, app in enumerate(apps):
        setattr(module, f"app{number}", app)
    return index_app(module, ROOT)


def timer(app: Any, function: Callable[..., Any]) -> None:
    app.timer_trigger(arg_name="timer", schedule="0 * * * * *")(function)


def refused(function: Callable[..., Any]) -> str:
    """Why the host refuses ``function`` as a timer function."""
    app = func.FunctionApp()
    timer(app, function)
    with pytest.raises(AppLoadError) as raised:
        index(app)
    return str(raised.value)


def test_an_app_is_indexed() -> None:
    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    blueprint = df.Blueprint()

    @blueprint.activity_trigger(input_name="spec")  # type: ignore[untyped-decorator]
    def work(spec: dict) -> list[str]:  # type: ignore[type-arg]
        return []

    @blueprint.orchestration_trigger(context_name="context")  # type: ignore[untyped-decorator]
    def flow(context: df.DurableOrchestrationContext) -> Any:
        yield None

    @app.route(route="x")
    @app.durable_client_input(client_name="client")  # type: ignore[untyped-decorator]
    async def web(
        req: func.HttpRequest, client: df.DurableOrchestrationClient, context: func.Context
    ) -> func.HttpResponse:
        return func.HttpResponse()

    app.register_functions(blueprint)
    found = {function.name: function for function in index(app, df.Blueprint())}
    assert set(found) == {"work", "flow", "web"}
    assert found["web"].is_async
    assert found["web"].signature.requires_context
    assert found["web"].trigger.options["authLevel"] == "ANONYMOUS"
    assert found["web"].signature.inputs["client"].codec == "generic"
    assert found["work"].signature.return_codec == "activityTrigger"
    assert not found["flow"].signature.requires_context


def test_parameters_and_bindings_must_agree() -> None:
    def extra(timer: func.TimerRequest, more: str) -> None: ...
    def missing() -> None: ...

    assert refused(extra) == (
        "function 'extra' cannot be loaded: parameters without a binding: more"
    )
    assert "bindings without a parameter: timer" in refused(missing)


def test_annotations_must_fit() -> None:
    def wrong_type(timer: func.HttpRequest) -> None: ...
    def not_a_type(timer: func.TimerRequest | None) -> None: ...
    def built_in_generic(timer: list[func.TimerRequest]) -> None: ...
    def wrong_way(timer: func.Out[str]) -> None: ...
    def wrong_context(timer: func.TimerRequest, context: str) -> None: ...
    def unknown_name(timer: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821

    assert "'timerTrigger', which does not fit its annotation HttpRequest" in refused(wrong_type)
    assert "non-type annotation" in refused(not_a_type)
    assert "non-type annotation" in refused(built_in_generic)
    assert "direction 'in'" in refused(wrong_way)
    assert "must be azure.functions.Context" in refused(wrong_context)
    assert "annotations cannot be read" in refused(unknown_name)


def test_text_annotations_are_generic_and_missing_ones_are_fine() -> None:
    app = func.FunctionApp()

    @app.service_bus_queue_trigger(arg_name="body", queue_name="q", connection="c")
    def reads_text(body: str) -> None: ...

    @app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="c")
    def unannotated(message) -> None: ...  # type: ignore[no-untyped-def]

    text, bare = index(app)
    assert text.signature.inputs["body"].codec == "generic"
    assert bare.signature.inputs["message"].codec == "serviceBusTrigger"


def test_the_return_annotation_must_fit() -> None:
    app = func.FunctionApp()

    @app.route(route="a")
    def returns_int(req: func.HttpRequest) -> int:
        return 1

    @app.route(route="b")
    def returns_maybe(req: func.HttpRequest) -> func.HttpResponse | None:
        return None

    with pytest.raises(AppLoadError) as raised:
        index(app)
    lines = str(raised.value).splitlines()
    assert "'returns_int'" in lines[0]
    assert "int does not fit the 'http' binding" in lines[0]
    assert "'returns_maybe'" in lines[1]
    assert "non-type return annotation" in lines[1]


def test_names_must_be_unique() -> None:
    app = func.FunctionApp()
    for _ in range(2):
        timer(app, lambda timer: None)
    with pytest.raises(AppLoadError, match="unique"):
        index(app)


def test_names_must_suit_the_host() -> None:
    app = func.FunctionApp()
    timer(app, app.function_name("no spaces, please")(lambda timer: None))
    with pytest.raises(AppLoadError, match="'no spaces, please' cannot be loaded: its name"):
        index(app)


def test_a_function_needs_a_trigger() -> None:
    app = func.FunctionApp()
    app.function_name("lonely")(lambda: None)
    with pytest.raises(AppLoadError, match=r"lonely.*trigger"):
        index(app)


def test_unsupported_bindings_are_told() -> None:
    app = func.FunctionApp()

    @app.blob_trigger(arg_name="blob", path="x/y", connection="c")
    def on_blob(blob: func.InputStream) -> None: ...

    @app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
    @app.service_bus_queue_output(arg_name="out", queue_name="q", connection="c")
    def sends(timer: func.TimerRequest, out: func.Out[str]) -> None: ...

    with pytest.raises(AppLoadError) as raised:
        index(app)
    assert "function 'on_blob' cannot be loaded: the local host does not support" in str(
        raised.value
    )
    assert "'serviceBus' bindings" in str(raised.value)


def test_there_must_be_one_app() -> None:
    with pytest.raises(AppLoadError, match="no function app"):
        index(df.Blueprint())
    with pytest.raises(AppLoadError, match="more than one"):
        index(func.FunctionApp(), func.FunctionApp())
