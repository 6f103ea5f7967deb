"use strict";
/**
 * Scripted faults. A rule is a matcher and one or more actions:
 *
 *   service, operation, method, path   regular expressions; what is absent matches all
 *   source, signature                  the same, of a copy's source URL and of the SAS that a
 *                                      request, or the source of its copy, comes with
 *   signedBefore                       a SAS that begins (`st`) before this time
 *   skip, times                        let the first `skip` matches pass, then fire `times` times
 *   probability (+ seed)               then fire with this probability; a seed repeats its run
 *   status + errorCode (+ retryAfter)  answer this error instead of executing; `atSource`: as the
 *                                      source's answer to a copy (CannotVerifyCopySource)
 *   delayMs                            wait first
 *   drop: "before" | "after"           cut the connection instead of, or after, executing
 *   cutAfterBytes                      cut the connection behind so much of the answer's body
 *   shortenTo                          end the answer's body there, as if that were all of it
 *   flipByte                           invert a bit of this byte of the answer's body
 *   endSas                             the SAS is over from now on, as if expired or revoked
 *   loseRanges                         leave the last n ranges out of a page-range listing
 *   loseWithin: [start, end]           leave out whatever lies in [start, end)
 *   loseCleared                        leave the cleared ranges out
 *   rows, marker                       cut a listing (of ranges, blobs or rows) behind n rows;
 *                                      marker "kept" leads on, "lost" hides the rest, "same" leads
 *                                      in circles
 *
 * The first rule that matches and has not run out decides. `seen` and `fired` prove what happened.
 */
const actions = require("./fault-actions");
const signatures = require("./signatures");

const MATCHERS = ["service", "operation", "method", "path", "source", "signature"];
const LIMITS = ["signedBefore", "skip", "times", "probability", "seed"];
const FIELDS = new Set([...MATCHERS, ...LIMITS, ...actions.FIELDS]);
let active = [];

function checked(rule) {
  const unknown = Object.keys(rule).filter((field) => !FIELDS.has(field));
  if (unknown.length > 0) {
    throw new Error(`unknown field in a fault rule: ${unknown.join(", ")}`);
  }
  actions.check(rule);
  const patterns = MATCHERS.filter((field) => rule[field] !== undefined).map((field) => [
    field,
    new RegExp(rule[field]),
  ]);
  return { rule, patterns, draw: draws(rule.seed ?? 1), seen: 0, fired: 0 };
}

/** Numbers in [0, 1), the same ones for the same seed (mulberry32). */
function draws(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const shown = ({ rule, seen, fired }) => ({ ...rule, seen, fired });
const rules = () => active.map(shown);

function add(body) {
  active = active.concat([body].flat().map(checked));
  return rules();
}

/** Ends all rules; a SAS that a rule has ended is good again. */
function clear() {
  const last = rules();
  active = [];
  signatures.clear();
  return last;
}

function matches({ rule, patterns }, values, sas) {
  if (!patterns.every(([field, pattern]) => pattern.test(values[field] ?? ""))) {
    return false;
  }
  if (rule.endSas && (!sas || signatures.isOver(sas))) {
    return false;
  }
  return rule.signedBefore === undefined || sas?.from < new Date(rule.signedBefore);
}

/** Counts the match, and says whether it is the rule's turn. */
function fires(entry) {
  const { skip = 0, times = Infinity, probability = 1 } = entry.rule;
  entry.seen += 1;
  if (entry.seen <= skip || entry.fired >= times || entry.draw() >= probability) {
    return false;
  }
  entry.fired += 1;
  return true;
}

/** The rule that fires for this call, if any; counts as it goes. */
function firing({ service, operation, request }) {
  const sas = signatures.sasOf(request);
  const values = {
    service,
    operation,
    method: request.method,
    path: request.originalUrl,
    source: request.headers["x-ms-copy-source"],
    signature: sas?.signature,
  };
  return active.find((entry) => matches(entry, values, sas) && fires(entry))?.rule;
}

function apply(call, context, StorageError, next) {
  const rule = firing(call);
  if (rule === undefined) {
    return next();
  }
  const fire = () => actions.act(rule, call, context, StorageError, next);
  return rule.delayMs ? setTimeout(fire, rule.delayMs) : fire();
}

module.exports = { add, apply, clear, rules };
