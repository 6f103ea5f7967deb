"use strict";
/** Requests and body bytes since start, by client, account and operation. */
const rowsByKey = new Map();

/** The User-Agent's `vaultline-…` word, which the stack gives its processes, or else its first. */
function clientOf(request) {
  const agent = request.headers["user-agent"] ?? "";
  return /\bvaultline-[\w-]+/.exec(agent)?.[0] ?? agent.split(" ", 1)[0];
}

function rowOf({ service, operation, request }) {
  const client = clientOf(request);
  const account = request.path.split("/", 2)[1];
  const key = [client, service, account, operation].join(" ");
  if (!rowsByKey.has(key)) {
    const zeros = { requests: 0, errors: 0, request_bytes: 0, response_bytes: 0 };
    rowsByKey.set(key, { client, service, account, operation, ...zeros });
  }
  return rowsByKey.get(key);
}

/** Adds what passes through `response[name]` to the row. */
function tapBody(response, name, row) {
  const stock = response[name];
  response[name] = (chunk, ...rest) => {
    if (typeof chunk === "string" || chunk instanceof Uint8Array) {
      row.response_bytes += Buffer.byteLength(chunk);
    }
    return stock.call(response, chunk, ...rest);
  };
}

function count(call) {
  const { request, response } = call;
  const row = rowOf(call);
  row.requests += 1;
  row.request_bytes += Number(request.headers["content-length"] ?? 0);
  tapBody(response, "write", row);
  tapBody(response, "end", row);
  response.on("close", () => {
    row.errors += response.statusCode >= 400 || !response.writableFinished ? 1 : 0;
  });
}

module.exports = { count, rows: () => [...rowsByKey.values()] };
