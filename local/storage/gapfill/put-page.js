"use strict";
/** Put Page with a Content-MD5: the service compares it before it writes, and answers it. */
const { createHash } = require("node:crypto");
const { Readable } = require("node:stream");
const { load, wrap } = require("./azurite");
const { refusal } = require("./errors");

/** A body of at most 4 MiB as one buffer. */
async function whole(body) {
  const chunks = [];
  for await (const chunk of body) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function uploadPages(stock, body, contentLength, options, context) {
  const given = options.transactionalContentMD5;
  if (!given) {
    return stock(body, contentLength, options, context);
  }
  const bytes = await whole(body);
  const contentMD5 = createHash("md5").update(bytes).digest();
  if (!contentMD5.equals(Buffer.from(given))) {
    throw refusal("Md5Mismatch", context);
  }
  const written = await stock(Readable.from([bytes]), contentLength, options, context);
  return { ...written, contentMD5 };
}

/** Before `bounds`, whose own wrapping then refuses an oversized body before it is read. */
function install() {
  wrap(load("blob/handlers/PageBlobHandler").prototype, "uploadPages", uploadPages);
}

module.exports = { install };
