"use strict";
/** What a fault rule that fires does to its request; the fields are explained in `faults.js`. */
const { cannotVerifyCopySource } = require("./errors");
const listingFaults = require("./listing-faults");
const signatures = require("./signatures");

const FIELDS = [
  "status",
  "errorCode",
  "retryAfter",
  "atSource",
  "delayMs",
  "drop",
  "cutAfterBytes",
  "shortenTo",
  "flipByte",
  "endSas",
  ...listingFaults.FIELDS,
];

function check(rule) {
  if ((rule.status === undefined) !== (rule.errorCode === undefined)) {
    throw new Error("a fault rule that answers needs both status and errorCode");
  }
  if (rule.drop !== undefined && rule.drop !== "before" && rule.drop !== "after") {
    throw new Error('drop is "before" or "after"');
  }
  listingFaults.check(rule);
}

/** The operation runs; its answer is lost. */
function dropAnswer(request, response) {
  const cut = () => {
    request.socket.destroy();
    return true;
  };
  Object.assign(response, { write: cut, end: cut });
}

const isBody = (chunk) => typeof chunk === "string" || chunk instanceof Uint8Array;

/** Each write of the answer's body becomes `passing(bytes, stock, ...rest)`. */
function tap(response, passing) {
  for (const name of ["write", "end"]) {
    const stock = response[name].bind(response);
    response[name] = (chunk, ...rest) =>
      isBody(chunk) ? passing(Buffer.from(chunk), stock, ...rest) : stock(chunk, ...rest);
  }
}

/** The connection ends within the body: neither the rest comes nor a word that this was all. */
function cutBody({ request, response }, limit) {
  const write = response.write.bind(response);
  let left = limit;
  tap(response, (bytes, stock, ...rest) => {
    if (bytes.length <= left) {
      left -= bytes.length;
      return stock(bytes, ...rest);
    }
    Object.assign(response, { write: () => true, end: () => true });
    write(bytes.subarray(0, left));
    // Headers and body leave with the next tick.
    setImmediate(() => request.socket.destroySoon());
    return true;
  });
}

/** The body ends early, and passes for whole where its length was not announced. */
function shortenBody(response, limit) {
  let left = limit;
  tap(response, (bytes, stock, ...rest) => {
    const part = bytes.subarray(0, left);
    left -= part.length;
    return stock(part, ...rest);
  });
}

function flipBit(response, at) {
  let position = 0;
  tap(response, (bytes, stock, ...rest) => {
    if (position <= at && at < position + bytes.length) {
      bytes[at - position] ^= 1;
    }
    position += bytes.length;
    return stock(bytes, ...rest);
  });
}

function errorOf(rule, context, StorageError) {
  const id = context.contextID ?? context.contextId ?? "";
  // The table service words its errors as the request asks, hence the context.
  const message = "An injected fault.";
  const error = rule.atSource
    ? cannotVerifyCopySource(rule.status, rule.errorCode, { contextId: id })
    : new StorageError(rule.status, rule.errorCode, message, id, {}, context);
  if (rule.retryAfter !== undefined) {
    error.headers["Retry-After"] = String(rule.retryAfter);
  }
  return error;
}

function act(rule, call, context, StorageError, next) {
  const { request, response } = call;
  if (rule.drop === "before") {
    return request.socket.destroy();
  }
  if (rule.drop === "after") {
    dropAnswer(request, response);
  }
  if (rule.cutAfterBytes !== undefined) {
    cutBody(call, rule.cutAfterBytes);
  }
  if (rule.shortenTo !== undefined) {
    shortenBody(response, rule.shortenTo);
  }
  if (rule.flipByte !== undefined) {
    flipBit(response, rule.flipByte);
  }
  if (rule.endSas) {
    signatures.end(request);
  }
  context.listingFault = rule;
  if (rule.status !== undefined) {
    return next(errorOf(rule, context, StorageError));
  }
  return next(signatures.refusalOf(request, context));
}

module.exports = { FIELDS, act, check };
