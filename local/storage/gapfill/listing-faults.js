"use strict";
/** Listings that lose rows, end too early, or never do; the fields are explained in `faults.js`. */
const { load, wrap } = require("./azurite");

const FIELDS = ["loseRanges", "loseWithin", "loseCleared", "rows", "marker"];
const MARKERS = ["kept", "lost", "same"];
/** A marker of ours: how many rows of what the stock marker in it leads to were given already. */
const RESUMED = /^after~(\d+)~*:(.*)$/s;

function check({ marker, loseWithin, rows }) {
  if (marker !== undefined && !MARKERS.includes(marker)) {
    throw new Error(`marker is one of ${MARKERS.join(", ")}`);
  }
  if ((rows !== undefined) !== (marker !== undefined)) {
    throw new Error("a fault rule that cuts a listing needs both rows and marker");
  }
  if (loseWithin !== undefined && !(loseWithin[0] < loseWithin[1])) {
    throw new Error("loseWithin is [start, end)");
  }
}

/** The rule that fired for this request, if it did; `context` is a handler's. */
const faultOf = (context) => context.context.listingFault ?? {};

/** What is left of a span outside `[start, end)`. */
function outside(span, [start, end]) {
  const before = { ...span, end: Math.min(span.end, start - 1) };
  const behind = { ...span, start: Math.max(span.start, end) };
  return [before, behind].filter((part) => part.start <= part.end);
}

/** The spans of a range listing that the fault leaves. */
function left(spans, { loseRanges = 0, loseWithin, loseCleared }) {
  let shown = spans.slice(0, Math.max(0, spans.length - loseRanges));
  if (loseCleared) {
    shown = shown.filter((span) => !span.cleared);
  }
  return loseWithin ? shown.flatMap((span) => outside(span, loseWithin)) : shown;
}

/**
 * One answer of a listing, cut as the fault says.
 * @param answer `{page, next}`: rows and the marker behind them
 * @param given  the marker that the request came with
 * @param at     the marker at which the n-th row of `page` begins; never `given`
 */
function cut({ page, next }, { rows, marker }, given, at) {
  const whole = page.length === 0 || (page.length <= rows && marker !== "same");
  if (rows === undefined || whole) {
    return { page, next };
  }
  const markers = { kept: () => at(rows), lost: () => undefined, same: () => given ?? at(0) };
  return { page: page.slice(0, rows), next: markers[marker]() };
}

/** List Blobs: markers of ours go on where the stock ones cannot, between snapshots of a blob. */
async function listBlobs(stock, ...parameters) {
  const MARKER = 7;
  const given = parameters[MARKER] || undefined;
  const [, skipped, stockMarker] = RESUMED.exec(given ?? "") ?? [undefined, "0", given];
  parameters[MARKER] = stockMarker || undefined;
  const [blobs, prefixes, next] = await stock(...parameters);
  const at = (row) => fresh(`after~${Number(skipped) + row}`, `:${stockMarker ?? ""}`, given);
  const fault = faultOf(parameters[0]);
  const answer = cut({ page: blobs.slice(Number(skipped)), next }, fault, given, at);
  return [answer.page, prefixes, answer.next ?? ""];
}

/** `head + tail`, told apart from the marker that was given. */
function fresh(head, tail, given) {
  return head + tail === given ? `${head}~${tail}` : head + tail;
}

/** Query Entities: a row's marker are its keys; two empty answers in a row have the same one. */
async function queryTableEntities(stock, context, account, table, options, partition, row) {
  const [found, ...next] = await stock(context, account, table, options, partition, row);
  const encoded = (text) => this.encodeContinuationHeader(text);
  const at = (n) => [encoded(found[n].PartitionKey), encoded(found[n].RowKey)];
  const given = partition === undefined ? undefined : [partition, row];
  const answer = cut({ page: found, next }, faultOf(context), given, at);
  return [answer.page, ...(answer.next ?? [undefined, undefined])];
}

function install() {
  const blobs = load("blob/persistence/LokiBlobMetadataStore").prototype;
  wrap(blobs, "listBlobs", listBlobs);
  const tables = load("table/persistence/LokiTableMetadataStore").prototype;
  wrap(tables, "queryTableEntities", queryTableEntities);
}

module.exports = { FIELDS, check, cut, faultOf, install, left };
