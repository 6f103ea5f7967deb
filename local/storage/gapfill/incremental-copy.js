"use strict";
/**
 * Incremental Copy Blob: snapshot after snapshot of one page blob, each becoming a snapshot of the
 * destination. Pointers are copied as they are, so the destination's diffs equal the source's.
 */
const { randomUUID } = require("node:crypto");
const { addressOf, blobs, findBlob, load, replace } = require("./azurite");
const { cannotVerifyCopySource, refusal } = require("./errors");
const { sourceAddress, verifySource } = require("./source");

const { BLOB_API_VERSION } = load("blob/utils/constants");
const { newEtag } = load("common/utils/utils");

async function sourceSnapshot(store, copySource, context) {
  const address = sourceAddress(copySource, context);
  if (!address.snapshot) {
    throw refusal("IncrementalCopySourceMustBeSnapshot", context);
  }
  await verifySource(address.url, context);
  const source = findBlob(store, address);
  if (!source) {
    throw cannotVerifyCopySource(404, "BlobNotFound", context);
  }
  if (source.properties.blobType !== "PageBlob") {
    throw refusal("InvalidSourceBlobType", context);
  }
  return { source, address };
}

/** The source's identity without its query, which may hold a SAS, plus when it came to be. */
function identity({ source, address }) {
  const created = new Date(source.properties.creationTime).toISOString();
  return `${address.account}/${address.container}/${address.blob}@${created}`;
}

/** Refuses a destination that did not come from an earlier snapshot of the same blob. */
function checkLineage(existing, from, context) {
  const last = existing.incrementalSource;
  if (!last || last.identity !== identity(from)) {
    throw refusal("IncrementalCopyBlobMismatch", context);
  }
  if (from.address.snapshot < last.snapshot) {
    throw refusal("IncrementalCopyOfEarlierSnapshotNotAllowed", context);
  }
}

/** Lease and conditions of the destination, as for any write. */
function checkWritable(existing, options, context) {
  const conditions = "blob/conditions/WriteConditionalHeadersValidator";
  const validateWriteConditions = load(conditions, "validateWriteConditions");
  const BlobLeaseAdapter = load("blob/lease/BlobLeaseAdapter");
  const BlobWriteLeaseValidator = load("blob/lease/BlobWriteLeaseValidator");
  validateWriteConditions(context, options.modifiedAccessConditions, existing ?? undefined);
  if (existing) {
    const leaseId = context.request.getHeader("x-ms-lease-id");
    new BlobWriteLeaseValidator({ leaseId }).validate(new BlobLeaseAdapter(existing), context);
  }
}

function newDestination(destination, { source }, context) {
  return {
    deleted: false,
    metadata: { ...source.metadata },
    accountName: destination.account,
    containerName: destination.container,
    name: destination.blob,
    snapshot: "",
    isCommitted: true,
    properties: {
      ...source.properties,
      creationTime: context.startTime,
      leaseStatus: "unlocked",
      leaseState: "available",
      leaseDuration: undefined,
      incrementalCopy: true,
    },
  };
}

/** The destination's document as it is after the copy. */
function bringUpToDate(document, from, context) {
  const { source, address } = from;
  const { contentLength } = source.properties;
  document.pageRangesInOrder = (source.pageRangesInOrder ?? []).slice();
  document.incrementalSource = { identity: identity(from), snapshot: address.snapshot };
  Object.assign(document.properties, {
    contentLength,
    etag: newEtag(),
    lastModified: context.startTime,
    copyId: randomUUID(),
    copyStatus: "success",
    // Without the query's SAS.
    copySource: `${address.url.origin}${address.url.pathname}?snapshot=${address.snapshot}`,
    copyProgress: `${contentLength}/${contentLength}`,
    copyCompletionTime: context.startTime,
  });
}

async function copyIncremental(copySource, options, context) {
  const store = this.metadataStore;
  const destination = addressOf(context);
  await store.checkContainerExist(context, destination.account, destination.container);
  const from = await sourceSnapshot(store, copySource, context);
  const existing = findBlob(store, destination);
  checkWritable(existing, options, context);
  if (existing) {
    checkLineage(existing, from, context);
  }
  const document = existing ?? newDestination(destination, from, context);
  bringUpToDate(document, from, context);
  blobs(store)[existing ? "update" : "insert"](document);
  const { account, container, blob } = destination;
  const lease = { leaseId: context.request.getHeader("x-ms-lease-id") };
  const { snapshot } = await store.createSnapshot(context, account, container, blob, lease);
  document.properties.destinationSnapshot = snapshot;
  blobs(store).update(document);
  return {
    statusCode: 202,
    eTag: document.properties.etag,
    lastModified: document.properties.lastModified,
    copyId: document.properties.copyId,
    copyStatus: document.properties.copyStatus,
    requestId: context.contextId,
    clientRequestId: options.requestId,
    version: BLOB_API_VERSION,
    date: context.startTime,
  };
}

function install() {
  replace(load("blob/handlers/PageBlobHandler").prototype, "copyIncremental", copyIncremental);
}

module.exports = { install };
