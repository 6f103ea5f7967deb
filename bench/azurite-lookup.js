"use strict";
/**
 * Node preload that lets Azurite find a row of a large partition by the rarer of its two keys.
 *
 * It asks its database for the partition first, and then looks at every row of it for the row key:
 * writing a thousand rows beside a hundred thousand others would take minutes, which say nothing
 * about the writer. What is answered stays the same.
 */
const { Collection } = require("../local/storage/node_modules/lokijs");

const stock = Collection.prototype.findOne;

/** How many rows the index of `key` holds under that value. */
function rowsUnder(collection, key, value) {
  collection.ensureIndex(key);
  const [first, last] = collection.calculateRange("$eq", key, value);
  return last - first + 1;
}

Collection.prototype.findOne = function (query) {
  const { PartitionKey, RowKey } = query ?? {};
  if (PartitionKey === undefined || RowKey === undefined || !this.binaryIndices.RowKey) {
    return stock.call(this, query);
  }
  const rowFirst =
    rowsUnder(this, "RowKey", RowKey) < rowsUnder(this, "PartitionKey", PartitionKey);
  return stock.call(this, rowFirst ? { RowKey, PartitionKey } : { PartitionKey, RowKey });
};
