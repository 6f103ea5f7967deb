"use strict";
/**
 * Bytes shared between blobs.
 *
 * Azurite keeps bytes in append-only extents and page ranges point into them. Copying pages shares
 * the bytes under a fresh tag, `extent#tag`, so that the copy counts as a write of its own. Tags
 * never leave this module's patches: reading and garbage collection see plain extent ids.
 */
const { Readable } = require("node:stream");
const { randomUUID } = require("node:crypto");
const { load, replace, wrap } = require("./azurite");
const { joined } = require("./ranges");

const boot = randomUUID().slice(0, 8);
let writes = 0;

const plain = (id) => id.split("#", 1)[0];

/**
 * Extents that a write in flight may be about to point at. Two generations: the collector starts a
 * new one with each run, and a write that began under the last run is still covered by this one.
 */
const pinned = { recent: new Set(), older: new Set() };

function pin(id) {
  pinned.recent.add(plain(id));
}

/**
 * The chunks as a new write of their own at `start`: one stored range a chunk.
 * @param chunks `{id, offset, count}` in order, holding the bytes without a gap
 */
function sharedRanges(chunks, start) {
  const tag = `${boot}.${++writes}`;
  let at = start;
  return joined(chunks.map((chunk) => ({ ...chunk, id: plain(chunk.id) }))).map((chunk) => {
    pin(chunk.id);
    const range = {
      start: at,
      end: at + chunk.count - 1,
      persistency: { ...chunk, id: `${chunk.id}#${tag}` },
    };
    at += chunk.count;
    return range;
  });
}

/** The chunks' slice `[offset, offset + count)`, untagged and joined; short chunks are an error. */
function sliced(chunks, offset, count) {
  const result = [];
  let [skip, left] = [offset, count];
  for (const chunk of chunks) {
    const lost = Math.min(skip, chunk.count);
    const kept = Math.min(left, chunk.count - lost);
    skip -= lost;
    left -= kept;
    if (kept > 0) {
      result.push({ id: plain(chunk.id), offset: chunk.offset + lost, count: kept });
    }
  }
  if (left > 0 && count !== Infinity) {
    throw new RangeError(`The extents hold ${left} bytes less than the ${count} asked for.`);
  }
  return joined(result);
}

/** One extent open at a time: a fragmented range must not open thousands of files at once. */
async function* read(store, chunks, contextId) {
  for (const chunk of chunks) {
    yield* await store.readExtent(chunk, contextId);
  }
}

function readExtent(stock, chunk, contextId) {
  return stock(chunk && { ...chunk, id: plain(chunk.id) }, contextId);
}

async function readExtents(chunks, offset, count, contextId) {
  const wanted = sliced(chunks, offset ?? 0, count ?? Infinity);
  return Readable.from(read(this, wanted, contextId), { objectMode: false });
}

async function appendExtent(stock, ...parameters) {
  const chunk = await stock(...parameters);
  pin(chunk.id);
  return chunk;
}

/** A collection begins: a new generation of pins. */
function iteratorExtents(stock) {
  pinned.older = pinned.recent;
  pinned.recent = new Set();
  return stock();
}

/** The next extents that the collector must spare; the pinned ones come last. */
async function nextReferred(stock) {
  const { done, value } = await stock();
  if (!done) {
    return { done, value: value.map(plain) };
  }
  const last = this.pinsListed ? [] : [...pinned.older, ...pinned.recent];
  this.pinsListed = true;
  return { done: last.length === 0, value: last };
}

/** A write may bring several ranges (`persistency.ranges`); they land together or not at all. */
function mergeRange(stock, ranges, range) {
  for (const piece of range.persistency.ranges ?? [range]) {
    stock(ranges, piece);
  }
}

function install() {
  const extents = load("common/persistence/FSExtentStore").prototype;
  wrap(extents, "readExtent", readExtent);
  replace(extents, "readExtents", readExtents);
  wrap(extents, "appendExtent", appendExtent);
  const store = load("blob/persistence/LokiBlobMetadataStore").prototype;
  wrap(store, "iteratorExtents", iteratorExtents);
  wrap(load("blob/persistence/BlobReferredExtentsAsyncIterator").prototype, "next", nextReferred);
  wrap(load("blob/handlers/PageBlobRangesManager").prototype, "mergeRange", mergeRange);
}

module.exports = { install, sharedRanges, sliced };
