"use strict";
/**
 * Scripted faults. A rule is a matcher and one or more actions:
 *
 *   service, operation, method, path   regular expressions; what is absent matches all
 *   skip, times                        let the first `skip` matches pass, then fire `times` times
 *   status + errorCode (+ retryAfter)  answer this error instead of executing
 *   delayMs                            wait first
 *   drop: "before" | "after"           cut the connection instead of, or after, executing
 *   loseRanges                         leave the last n ranges out of a page-range listing
 *
 * The first rule that matches and has not run out decides. `seen` and `fired` prove what happened.
 */
const FIELDS = new Set([
  "service",
  "operation",
  "method",
  "path",
  "skip",
  "times",
  "status",
  "errorCode",
  "retryAfter",
  "delayMs",
  "drop",
  "loseRanges",
]);
const MATCHERS = ["service", "operation", "method", "path"];
let active = [];

function checked(rule) {
  const unknown = Object.keys(rule).filter((field) => !FIELDS.has(field));
  if (unknown.length > 0) {
    throw new Error(`unknown field in a fault rule: ${unknown.join(", ")}`);
  }
  if ((rule.status === undefined) !== (rule.errorCode === undefined)) {
    throw new Error("a fault rule that answers needs both status and errorCode");
  }
  if (rule.drop !== undefined && rule.drop !== "before" && rule.drop !== "after") {
    throw new Error('drop is "before" or "after"');
  }
  const patterns = MATCHERS.filter((field) => rule[field] !== undefined).map((field) => [
    field,
    new RegExp(rule[field]),
  ]);
  return { rule, patterns, seen: 0, fired: 0 };
}

const shown = ({ rule, seen, fired }) => ({ ...rule, seen, fired });
const rules = () => active.map(shown);

function add(body) {
  active = active.concat([body].flat().map(checked));
  return rules();
}

function clear() {
  const last = rules();
  active = [];
  return last;
}

/** The rule that fires for this call, if any; counts as it goes. */
function firing({ service, operation, request }) {
  const values = { service, operation, method: request.method, path: request.originalUrl };
  for (const entry of active) {
    if (!entry.patterns.every(([field, pattern]) => pattern.test(values[field] ?? ""))) {
      continue;
    }
    entry.seen += 1;
    if (entry.seen > (entry.rule.skip ?? 0) && entry.fired < (entry.rule.times ?? Infinity)) {
      entry.fired += 1;
      return entry.rule;
    }
  }
  return undefined;
}

/** The operation runs; its answer is lost. */
function dropAnswer(request, response) {
  const cut = () => {
    request.socket.destroy();
    return true;
  };
  Object.assign(response, { write: cut, end: cut });
}

function errorOf(rule, context, StorageError) {
  const id = context.contextID ?? context.contextId ?? "";
  // The table service words its errors as the request asks, hence the context.
  const message = "An injected fault.";
  const error = new StorageError(rule.status, rule.errorCode, message, id, {}, context);
  if (rule.retryAfter !== undefined) {
    error.headers["Retry-After"] = String(rule.retryAfter);
  }
  return error;
}

function act(rule, { request, response }, context, StorageError, next) {
  if (rule.drop === "before") {
    return request.socket.destroy();
  }
  if (rule.drop === "after") {
    dropAnswer(request, response);
  }
  context.loseRanges = rule.loseRanges;
  return next(rule.status === undefined ? undefined : errorOf(rule, context, StorageError));
}

function apply(call, context, StorageError, next) {
  const rule = firing(call);
  if (rule === undefined) {
    return next();
  }
  const fire = () => act(rule, call, context, StorageError, next);
  return rule.delayMs ? setTimeout(fire, rule.delayMs) : fire();
}

module.exports = { add, apply, clear, rules };
