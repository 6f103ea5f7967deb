"use strict";
/**
 * What tests and proofs see of the running storage: `GET /__counters`, and, where
 * VAULTLINE_STORAGE_FAULTS is set, `/__faults` and `/__rot`. All answer the loopback only.
 */
const { load, wrap } = require("./azurite");
const counters = require("./counters");
const faults = require("./faults");
const { markDiffs } = require("./listing");
const { rot } = require("./rot");
const signatures = require("./signatures");
const { isLoopback } = require("./source");

const SERVICES = [
  { name: "blob", contextPath: load("blob/utils/constants").DEFAULT_CONTEXT_PATH },
  { name: "table", contextPath: load("table/utils/constants").DEFAULT_TABLE_CONTEXT_PATH },
];
const LOOPBACK = new Set(["127.0.0.1", "::1", "::ffff:127.0.0.1"]);

/** Stands right behind the dispatcher: the operation is known, nothing has been done yet. */
function observe({ name, contextPath }) {
  const Operation = load(`${name}/generated/artifacts/operation`);
  const StorageError = load(`${name}/errors/StorageError`);
  return (request, response, next) => {
    const context = response.locals[contextPath];
    if (name === "blob") {
      markDiffs(context, request, Operation);
    }
    const refusal = signatures.refusalOf(request, context);
    if (isLoopback(request)) {
      return next(refusal);
    }
    const call = { service: name, operation: Operation[context.operation], request, response };
    counters.count(call);
    return refusal ? next(refusal) : faults.apply(call, context, StorageError, next);
  };
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) {
    parts.push(part);
  }
  return parts.length > 0 ? JSON.parse(Buffer.concat(parts).toString()) : undefined;
}

const ROUTES = {
  "GET /__counters": () => counters.rows(),
  ...(process.env.VAULTLINE_STORAGE_FAULTS && {
    "GET /__faults": () => faults.rules(),
    "POST /__faults": (body) => faults.add(body),
    "DELETE /__faults": () => faults.clear(),
    "POST /__rot": (body, stores) => rot(stores, body),
  }),
};

async function control(route, stores, request, response) {
  let [status, answer] = [200, undefined];
  try {
    answer = await route(await bodyOf(request), stores);
  } catch (error) {
    [status, answer] = [400, { error: error.message }];
  }
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(answer));
}

/** The service's own listener with the control routes, which see its stores, before it. */
function withControls(listener, stores) {
  return (request, response) => {
    const route = ROUTES[`${request.method} ${request.url.split("?", 1)[0]}`];
    if (route && LOOPBACK.has(request.socket.remoteAddress)) {
      return control(route, stores, request, response);
    }
    return listener(request, response);
  };
}

function install() {
  for (const service of SERVICES) {
    const factory = load(`${service.name}/generated/ExpressMiddlewareFactory`).prototype;
    wrap(factory, "createDispatchMiddleware", (stock) => [stock(), observe(service)]);
  }
  const listeners = load("blob/BlobRequestListenerFactory").prototype;
  wrap(listeners, "createRequestListener", function (stock) {
    return withControls(stock(), this);
  });
}

module.exports = { install };
