"use strict";
/** Get Page Ranges and Get Page Ranges Diff: what Azurite lists wrongly or not at all. */
const { addressOf, findBlob, load, replace, wrap } = require("./azurite");
const { refusal } = require("./errors");
const { cut, faultOf, left } = require("./listing-faults");
const { allocated, changes, clipped } = require("./ranges");
const { probe, sourceAddress } = require("./source");
const { BLOB_API_VERSION } = load("blob/utils/constants");

const MAX_RESULTS = 10000;

/** The window `[start, end]` that the request asks for, inside the blob. */
function windowOf(context, sizeBytes) {
  const { deserializeRangeHeader } = load("blob/utils/utils");
  const { request } = context;
  const given = deserializeRangeHeader(request.getHeader("range"), request.getHeader("x-ms-range"));
  if (given && given[0] >= sizeBytes) {
    throw refusal("InvalidPageRange", context);
  }
  const [start, end] = given ?? [0, Infinity];
  return [start, Math.min(end, sizeBytes - 1)];
}

/** One page of spans; the marker is the offset where the next page begins, perhaps with `~`s. */
function paged(spans, { marker, maxresults }, context) {
  if (marker && !/^\d+~*$/.test(marker)) {
    throw refusal("InvalidQueryParameterValue", context, { QueryParameterName: "marker" });
  }
  const rest = marker ? spans.filter((span) => span.start >= parseInt(marker, 10)) : spans;
  const count = Math.min(maxresults ?? MAX_RESULTS, MAX_RESULTS);
  const whole = { page: rest.slice(0, count), next: rest[count] && String(rest[count].start) };
  const at = (row) => {
    const { start } = rest[row];
    return parseInt(marker, 10) === start ? `${marker}~` : String(start);
  };
  return cut(whole, faultOf(context), marker, at);
}

function answer(spans, properties, options, context) {
  const { page, next } = paged(left(spans, faultOf(context)), options, context);
  return {
    statusCode: 200,
    pageRange: page.filter((span) => !span.cleared),
    clearRange: page.filter((span) => span.cleared),
    nextMarker: next,
    eTag: properties.etag,
    blobContentLength: properties.contentLength,
    lastModified: new Date(properties.lastModified),
    requestId: context.contextId,
    version: BLOB_API_VERSION,
    clientRequestId: options.requestId,
    date: context.startTime,
  };
}

/** The blob or snapshot asked about, its lease and conditions checked as stock does. */
async function target(store, options, context) {
  const { account, container, blob } = addressOf(context);
  const { leaseAccessConditions: lease, modifiedAccessConditions: conditions } = options;
  return store.getPageRanges(
    context,
    account,
    container,
    blob,
    options.snapshot,
    lease,
    conditions,
  );
}

async function getPageRanges(options, context) {
  const { properties, pageRangesInOrder } = await target(this.metadataStore, options, context);
  const inside = clipped(pageRangesInOrder ?? [], ...windowOf(context, properties.contentLength));
  return answer(allocated(inside), properties, options, context);
}

/** The managed-disk form: a URL names the earlier snapshot, which may be a blob of its own. */
async function previousByUrl(store, options, context) {
  const address = sourceAddress(options.prevSnapshotUrl, context);
  if (address.url.searchParams.has("sig")) {
    const { status, code } = await probe(address.url, context);
    if (status !== 200 && status !== 404) {
      throw new (load("blob/errors/StorageError"))(status, code, code, context.contextId);
    }
  }
  return { previous: findBlob(store, address), address };
}

async function previousOf(store, options, context) {
  if (options.prevsnapshot === undefined) {
    return previousByUrl(store, options, context);
  }
  if (options.snapshot && options.prevsnapshot > options.snapshot) {
    throw refusal("PreviousSnapshotCannotBeNewer", context);
  }
  const address = { ...addressOf(context), snapshot: options.prevsnapshot };
  return { previous: options.prevsnapshot ? findBlob(store, address) : null, address };
}

const created = (properties) => new Date(properties.creationTime).getTime();

/** Refuses an earlier snapshot that the target did not grow out of. */
function checkLineage({ previous, address }, properties, context) {
  if (!previous) {
    throw refusal("PreviousSnapshotNotFound", context);
  }
  const { account, container, blob } = addressOf(context);
  const sameBlob =
    account === address.account && container === address.container && blob === address.blob;
  if (sameBlob && created(previous.properties) !== created(properties)) {
    throw refusal("BlobOverwritten", context);
  }
  if (!sameBlob && created(previous.properties) > created(properties)) {
    throw refusal("PreviousSnapshotCannotBeNewer", context);
  }
}

async function getPageRangesDiff(options, context) {
  const store = this.metadataStore;
  const { properties, pageRangesInOrder } = await target(store, options, context);
  const earlier = await previousOf(store, options, context);
  checkLineage(earlier, properties, context);
  const window = windowOf(context, properties.contentLength);
  const before = clipped(earlier.previous.pageRangesInOrder ?? [], ...window);
  const after = clipped(pageRangesInOrder ?? [], ...window);
  return answer(changes(before, after), properties, options, context);
}

/** The two lists as one, in order of offset, as the service writes them. */
function pageListXml({ PageRange = [], ClearRange = [], NextMarker }) {
  const element =
    (name) =>
    ({ Start, End }) => ({
      start: Number(Start),
      xml: `<${name}><Start>${Start}</Start><End>${End}</End></${name}>`,
    });
  const items = [...PageRange.map(element("PageRange")), ...ClearRange.map(element("ClearRange"))];
  items.sort((one, other) => one.start - other.start);
  const marker = NextMarker ? `<NextMarker>${NextMarker}</NextMarker>` : "<NextMarker/>";
  const body = items.map((item) => item.xml).join("");
  return `<?xml version="1.0" encoding="utf-8"?><PageList>${body}${marker}</PageList>`;
}

/** Azurite's dispatcher takes a diff for a plain listing: neither of its marks is "required". */
function markDiffs(context, request, Operation) {
  const diff =
    request.query.prevsnapshot !== undefined || request.headers["x-ms-previous-snapshot-url"];
  if (context.operation === Operation.PageBlob_GetPageRanges && diff) {
    context.operation = Operation.PageBlob_GetPageRangesDiff;
  }
}

function stringifyXML(stock, body, options) {
  return options?.rootName === "PageList" ? pageListXml(body) : stock(body, options);
}

function install() {
  const handler = load("blob/handlers/PageBlobHandler").prototype;
  replace(handler, "getPageRanges", getPageRanges);
  replace(handler, "getPageRangesDiff", getPageRangesDiff);
  wrap(load("blob/generated/utils/xml"), "stringifyXML", stringifyXML);
}

module.exports = { install, markDiffs };
