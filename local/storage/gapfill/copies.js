"use strict";
/** Copies and snapshots that stand on their own. */
const { blobs, findBlob, load, replace, wrap } = require("./azurite");
const { verifySource } = require("./source");

/** Stock copies share one array of pointers with their source: a write to one changed the other. */
function unshare(document) {
  for (const name of ["pageRangesInOrder", "committedBlocksInOrder"]) {
    document[name] = document[name]?.slice();
  }
}

/** A copy remembers its source's blob and snapshot, never the SAS it was read by. */
function forgetSas({ properties }) {
  if (properties?.copySource && URL.canParse(properties.copySource)) {
    const { origin, pathname, searchParams } = new URL(properties.copySource);
    const snapshot = searchParams.get("snapshot");
    properties.copySource = origin + pathname + (snapshot ? `?snapshot=${snapshot}` : "");
  }
}

/** Snapshot ids count milliseconds here: a second snapshot in one of them takes the next. */
function moveToFreeMillisecond(store, context, account, container, blob) {
  const { convertDateTimeStringMsTo7Digital } = load("common/utils/utils");
  const id = () => convertDateTimeStringMsTo7Digital(context.startTime.toISOString());
  while (findBlob(store, { account, container, blob, snapshot: id() })) {
    context.startTime = new Date(context.startTime.getTime() + 1);
  }
}

async function init(stock) {
  await stock();
  blobs(this).on("pre-insert", unshare);
  blobs(this).on("pre-insert", forgetSas);
}

async function createSnapshot(stock, context, account, container, blob, ...rest) {
  moveToFreeMillisecond(this, context, account, container, blob);
  return stock(context, account, container, blob, ...rest);
}

/** The stock check reads the whole source into memory. */
async function validateCopySource(copySource, _account, context) {
  await verifySource(new URL(copySource), context);
}

function install() {
  const store = load("blob/persistence/LokiBlobMetadataStore").prototype;
  wrap(store, "init", init);
  wrap(store, "createSnapshot", createSnapshot);
  const handler = load("blob/handlers/BlobHandler").prototype;
  replace(handler, "validateCopySource", validateCopySource);
}

module.exports = { install };
