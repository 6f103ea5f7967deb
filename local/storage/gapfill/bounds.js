"use strict";
/** Limits of page writes that Azurite does not hold, and the error code Azure gives. */
const { findBlob, load, replace, wrap } = require("./azurite");
const { refusal } = require("./errors");

const MAX_PAGE_WRITE = 4 * 1024 * 1024;

/** Refuses what Azure refuses of the live blob at `address`; `end` is the last byte written to. */
function checkWrite(store, context, address, end) {
  const properties = findBlob(store, address)?.properties;
  if (properties?.incrementalCopy) {
    throw refusal("OperationNotAllowedOnIncrementalCopyBlob", context);
  }
  if (properties && end >= properties.contentLength) {
    throw refusal("InvalidPageRange", context);
  }
}

/** A page write or clear, as the metadata store takes it. */
async function changePages(stock, context, blob, start, end, ...rest) {
  const { accountName: account, containerName: container, name } = blob;
  checkWrite(this, context, { account, container, blob: name }, end);
  return stock(context, blob, start, end, ...rest);
}

async function resize(stock, context, account, container, blob, ...rest) {
  checkWrite(this, context, { account, container, blob }, -1);
  return stock(context, account, container, blob, ...rest);
}

async function uploadPages(stock, body, contentLength, options, context) {
  if (contentLength > MAX_PAGE_WRITE) {
    throw refusal("RequestBodyTooLarge", context);
  }
  return stock(body, contentLength, options, context);
}

function install() {
  const store = load("blob/persistence/LokiBlobMetadataStore").prototype;
  wrap(store, "uploadPages", changePages);
  wrap(store, "clearRange", changePages);
  wrap(store, "resizePageBlob", resize);
  wrap(load("blob/handlers/PageBlobHandler").prototype, "uploadPages", uploadPages);
  replace(load("blob/errors/StorageErrorFactory"), "getInvalidPageRange", (contextId) =>
    refusal("InvalidPageRange", { contextId }),
  );
}

module.exports = { MAX_PAGE_WRITE, install };
