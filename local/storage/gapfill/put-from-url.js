"use strict";
/** Put Page From URL within one Azurite, without moving a byte. */
const { createHash } = require("node:crypto");
const { addressOf, findBlob, load, replace } = require("./azurite");
const { MAX_PAGE_WRITE } = require("./bounds");
const { Crc64 } = require("./crc64");
const { cannotVerifyCopySource, refusal } = require("./errors");
const { sharedRanges, sliced } = require("./extents");
const { sourceAddress, verifySource } = require("./source");

const { BLOB_API_VERSION } = load("blob/utils/constants");
const RANGE = /^bytes=(\d+)-(\d+)$/;

/** An inclusive range header, as long as whole pages are, as `{start, end, count}`. */
function rangeOf(header, context) {
  const match = RANGE.exec(header ?? "");
  const [start, end] = match ? [Number(match[1]), Number(match[2])] : [0, -1];
  if (end < start || (end + 1 - start) % 512 !== 0) {
    throw refusal("InvalidPageRange", context);
  }
  return { start, end, count: end + 1 - start };
}

/** The two ranges of the request: equally long and not too long. */
function rangesOf(sourceRange, context) {
  const { request } = context;
  const to = rangeOf(request.getHeader("x-ms-range") ?? request.getHeader("range"), context);
  const from = rangeOf(sourceRange, context);
  if (from.count !== to.count || to.start % 512 !== 0) {
    throw refusal("InvalidPageRange", context);
  }
  if (to.count > MAX_PAGE_WRITE) {
    throw refusal("RequestBodyTooLarge", context);
  }
  return { from, to };
}

/** The source's bytes as chunks, holes as zeros (the service writes zeros there). */
function sourceChunks(handler, address, from, context) {
  const source = findBlob(handler.metadataStore, address);
  if (!source) {
    throw cannotVerifyCopySource(404, "BlobNotFound", context);
  }
  if (from.end >= source.properties.contentLength) {
    throw cannotVerifyCopySource(416, "InvalidRange", context);
  }
  if (source.properties.blobType !== "PageBlob") {
    const blocks = (source.committedBlocksInOrder ?? []).map((block) => block.persistency);
    return sliced(blocks.length > 0 ? blocks : [source.persistency], from.start, from.count);
  }
  const filled = handler.rangesManager.fillZeroRanges(source.pageRangesInOrder ?? [], from);
  return filled.map((range) => range.persistency);
}

/**
 * The checksum the answer carries: MD5 where the request gave the source's, else CRC-64 (the
 * service's rule since 2019-02-02). A given checksum that does not match refuses the write.
 */
async function checksum(handler, chunks, count, options, context) {
  const { sourceContentMD5, sourceContentcrc64 } = options;
  const sum = sourceContentMD5 ? createHash("md5") : new Crc64();
  const bytes = await handler.extentStore.readExtents(chunks, 0, count, context.contextId);
  for await (const part of bytes) {
    sum.update(part);
  }
  const digest = sum.digest();
  const given = sourceContentMD5 ?? sourceContentcrc64;
  if (given && !digest.equals(Buffer.from(given))) {
    throw refusal(sourceContentMD5 ? "Md5Mismatch" : "Crc64Mismatch", context);
  }
  return sourceContentMD5 ? { contentMD5: digest } : { xMsContentCrc64: digest };
}

/** The destination, refused early where the write could not land anyway. */
async function destination(store, options, context) {
  const { account, container, blob } = addressOf(context);
  const BlobLeaseAdapter = load("blob/lease/BlobLeaseAdapter");
  const BlobWriteLeaseValidator = load("blob/lease/BlobWriteLeaseValidator");
  const lease = options.leaseAccessConditions;
  const found = await store.downloadBlob(context, account, container, blob, undefined, lease);
  if (found.properties.blobType !== "PageBlob") {
    throw load("blob/errors/StorageErrorFactory").getBlobInvalidBlobType(context.contextId);
  }
  new BlobWriteLeaseValidator(lease).validate(new BlobLeaseAdapter(found), context);
  return found;
}

/** Lets the ranges land; lease, ETag and sequence number are judged again as they do. */
function write(store, blob, to, ranges, options, context) {
  return store.uploadPages(
    context,
    blob,
    to.start,
    to.end,
    { ranges },
    options.leaseAccessConditions,
    options.modifiedAccessConditions,
    options.sequenceNumberAccessConditions,
  );
}

async function uploadPagesFromURL(sourceUrl, sourceRange, contentLength, range, options, context) {
  if (contentLength !== 0) {
    throw refusal("InvalidHeaderValue", context, { HeaderName: "Content-Length" });
  }
  const { from, to } = rangesOf(sourceRange, context);
  const blob = await destination(this.metadataStore, options, context);
  const address = sourceAddress(sourceUrl, context);
  await verifySource(address.url, context, {
    conditions: options.sourceModifiedAccessConditions,
    authorization: options.copySourceAuthorization,
  });
  const chunks = sourceChunks(this, address, from, context);
  // Shared before anything is awaited: from here on the collector spares the bytes.
  const ranges = sharedRanges(chunks, to.start);
  const sum = await checksum(this, chunks, from.count, options, context);
  const written = await write(this.metadataStore, blob, to, ranges, options, context);
  return {
    statusCode: 201,
    eTag: written.etag,
    lastModified: written.lastModified,
    blobSequenceNumber: written.blobSequenceNumber,
    requestId: context.contextId,
    version: BLOB_API_VERSION,
    date: context.startTime,
    isServerEncrypted: true,
    ...sum,
  };
}

function install() {
  replace(
    load("blob/handlers/PageBlobHandler").prototype,
    "uploadPagesFromURL",
    uploadPagesFromURL,
  );
}

module.exports = { install };
