"use strict";
/**
 * The one place that reaches into Azurite's built files (not a public interface: the version is
 * pinned in package.json).
 */
function load(path, name) {
  const module = require(`azurite/dist/src/${path}`);
  return name ? module[name] : (module.default ?? module);
}

/** Refuses to start on an Azurite whose insides are not those that the gap-filler knows. */
function stockOf(owner, name) {
  if (typeof owner[name] !== "function") {
    throw new Error(`gap-filler: this Azurite has no ${name}; it must be 3.35.0`);
  }
  return owner[name];
}

/** Puts `replacement` in the place of `owner[name]`. */
function replace(owner, name, replacement) {
  stockOf(owner, name);
  owner[name] = replacement;
}

/** Like `replace`; the replacement gets the stock function, bound, before its parameters. */
function wrap(owner, name, replacement) {
  const stock = stockOf(owner, name);
  owner[name] = function (...parameters) {
    return replacement.call(this, stock.bind(this), ...parameters);
  };
}

/** The stored document of a blob or snapshot (`snapshot: ""` is the live blob), or null. */
function findBlob(store, { account, container, blob, snapshot = "" }) {
  const query = { accountName: account, containerName: container, name: blob, snapshot };
  return blobs(store).findOne(query);
}

function blobs(store) {
  return store.db.getCollection(store.BLOBS_COLLECTION);
}

/** Where a request points: `{account, container, blob}`. */
function addressOf(context) {
  const BlobStorageContext = load("blob/context/BlobStorageContext");
  const { account, container, blob } = new BlobStorageContext(context);
  return { account, container, blob };
}

module.exports = { addressOf, blobs, findBlob, load, replace, wrap };
