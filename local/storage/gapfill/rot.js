"use strict";
/**
 * Bit rot: a stored page changes, and nothing tells of it. Not the etag, not a time, and no diff,
 * since what a page was last written by stays its identity.
 */
const { blobs, load } = require("./azurite");
const { identityOf } = require("./ranges");

const PAGE = 512;
const PageBlobRangesManager = load("blob/handlers/PageBlobRangesManager");
const ranges = new PageBlobRangesManager();

/** Stores the page's bytes anew, a bit inverted; the pointer to them passes for the old one. */
async function spoiled(extentStore, page, offset) {
  const parts = [];
  for await (const part of await extentStore.readExtents([page.persistency], 0, PAGE)) {
    parts.push(part);
  }
  const bytes = Buffer.concat(parts);
  bytes[offset % PAGE] ^= 1;
  const { id, offset: at } = identityOf(page);
  return { ...(await extentStore.appendExtent(bytes)), was: { id, offset: at } };
}

/** The stored page at `offset`, as a range of its own; undefined where none is allocated. */
function pageAt(document, offset) {
  const start = offset - (offset % PAGE);
  const wanted = { start, end: start + PAGE - 1 };
  const [page] = ranges.cutRanges(document.pageRangesInOrder ?? [], wanted);
  return page;
}

/** Which versions of the blob hold the very page that `first` does. */
function sharing(documents, first, offset) {
  const wanted = identityOf(pageAt(first, offset));
  return documents.filter((document) => {
    const page = pageAt(document, offset);
    const { id, offset: at } = page ? identityOf(page) : {};
    return id === wanted.id && at === wanted.offset;
  });
}

/**
 * Inverts a bit of the byte at `offset` of one version of a blob (`snapshot: ""`: as it is now);
 * with `shared`, of every version of that blob that holds the same page. Other blobs that share
 * the stored bytes here would not in Azure, and keep theirs. Answers how many versions rotted.
 */
async function rot({ metadataStore, extentStore }, target) {
  const { account, container, blob, snapshot = "", offset, shared = false } = target;
  const query = { accountName: account, containerName: container, name: blob };
  const documents = blobs(metadataStore).find(query);
  const first = documents.find((document) => document.snapshot === snapshot);
  const page = first && pageAt(first, offset);
  if (!page) {
    throw new Error(`no page is stored at ${offset} of ${container}/${blob} ${snapshot}`);
  }
  const persistency = await spoiled(extentStore, page, offset);
  const rotten = shared ? sharing(documents, first, offset) : [first];
  for (const document of rotten) {
    const changed = document.pageRangesInOrder.slice();
    ranges.mergeRange(changed, { start: page.start, end: page.end, persistency });
    document.pageRangesInOrder = changed;
    blobs(metadataStore).update(document);
  }
  return { versions: rotten.length };
}

module.exports = { rot };
