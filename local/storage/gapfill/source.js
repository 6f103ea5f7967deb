"use strict";
/**
 * The source of a server-side copy: a URL into this same storage, SAS included.
 *
 * Its SAS, its existence and its conditions are checked by a real request over the loopback, so
 * that they are judged by the very code that judges any reader.
 */
const http = require("node:http");
const { randomUUID } = require("node:crypto");
const { load } = require("./azurite");
const { cannotVerifyCopySource, refusal } = require("./errors");

const extractStoragePartsFromPath = load(
  "blob/middlewares/blobStorageContext.middleware",
  "extractStoragePartsFromPath",
);
const agent = new http.Agent({ keepAlive: true });
const LOOPBACK_HEADER = "x-vaultline-loopback";
const LOOPBACK_NAMES = new Set(["127.0.0.1", "localhost", "[::1]"]);
const loopbackToken = randomUUID();

/** Whether this request is our own check, which counters and faults leave alone. */
const isLoopback = (request) => request.headers[LOOPBACK_HEADER] === loopbackToken;

const CONDITIONS = {
  sourceIfMatch: "if-match",
  sourceIfNoneMatch: "if-none-match",
  sourceIfModifiedSince: "if-modified-since",
  sourceIfUnmodifiedSince: "if-unmodified-since",
};

function conditionHeaders(conditions = {}) {
  const given = Object.entries(CONDITIONS).filter(([key]) => conditions[key] !== undefined);
  return Object.fromEntries(
    given.map(([key, header]) => {
      const value = conditions[key];
      return [header, value instanceof Date ? value.toUTCString() : value];
    }),
  );
}

function parsed(text, context) {
  if (!URL.canParse(text)) {
    throw refusal("InvalidHeaderValue", context, { HeaderName: "x-ms-copy-source" });
  }
  return new URL(text);
}

/** `{url, account, container, blob, snapshot}` of a copy source; anything not a blob is refused. */
function sourceAddress(text, context) {
  const url = parsed(text, context);
  const [account, container, blob] = extractStoragePartsFromPath(url.hostname, url.pathname, true);
  if (!account || !container || !blob) {
    throw cannotVerifyCopySource(404, "ResourceNotFound", context);
  }
  return { url, account, container, blob, snapshot: url.searchParams.get("snapshot") ?? "" };
}

/** A HEAD to this storage with the source's own query; resolves to `{status, code}`. */
function head(url, port, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { agent, method: "HEAD", host: "127.0.0.1", port, path: url.pathname + url.search, headers },
      (response) => {
        response.resume();
        const code = response.headers["x-ms-error-code"] ?? "InternalError";
        response.on("end", () => resolve({ status: response.statusCode, code }));
      },
    );
    request.on("error", reject).end();
  });
}

/**
 * What a reader of the URL is answered: `{status, code}`. A URL outside this storage answers 404:
 * the gap-filler copies within one Azurite only.
 */
async function probe(url, context, headers = {}) {
  const { socket, headers: own } = context.request.req;
  const here = LOOPBACK_NAMES.has(url.hostname) && Number(url.port) === socket.localPort;
  if (!here && url.host !== own.host) {
    return { status: 404, code: "ResourceNotFound" };
  }
  const marked = { ...headers, [LOOPBACK_HEADER]: loopbackToken, "x-ms-version": "2021-12-02" };
  return head(url, socket.localPort, marked);
}

/** Refuses a source that its URL does not allow to be read, or whose conditions are not met. */
async function verifySource(url, context, { conditions, authorization } = {}) {
  const wanted = conditionHeaders(conditions);
  const headers = authorization ? { ...wanted, authorization } : wanted;
  const { status, code } = await probe(url, context, headers);
  if (status === 200) {
    return;
  }
  if (status === 304 || (status === 412 && Object.keys(wanted).length > 0)) {
    throw refusal("SourceConditionNotMet", context);
  }
  throw cannotVerifyCopySource(status, code, context);
}

module.exports = { isLoopback, probe, sourceAddress, verifySource };
