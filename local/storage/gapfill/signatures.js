"use strict";
/**
 * SAS that were ended before their time, as a revoked key or somebody's clock would. Whoever comes
 * with one is refused as the service refuses an expired one; a copy whose source comes with one is
 * refused by the same check, when it asks its source over the loopback.
 */
const { refusal } = require("./errors");

const over = new Set();

/** The SAS in a URL, `{signature, from}`, or undefined; `from` is its start, or the epoch. */
function sasIn(url) {
  const given = URL.canParse(url, "http://storage") ? new URL(url, "http://storage") : undefined;
  const query = given?.searchParams;
  return query?.has("sig")
    ? { signature: query.get("sig"), from: new Date(query.get("st") ?? 0) }
    : undefined;
}

/** The SAS by which the source of a copy is read, or else the request's own. */
function sasOf(request) {
  return sasIn(request.headers["x-ms-copy-source"]) ?? sasIn(request.originalUrl);
}

const isOver = ({ signature }) => over.has(signature);

function end(request) {
  over.add(sasOf(request).signature);
}

/** The refusal of a request whose own SAS has been ended; undefined for any other. */
function refusalOf(request, context) {
  const own = sasIn(request.originalUrl);
  return own && isOver(own) ? refusal("AuthenticationFailed", context) : undefined;
}

module.exports = { clear: () => over.clear(), end, isOver, refusalOf, sasOf };
