"use strict";
/**
 * Page-range algebra; pure.
 *
 * A stored range is `{start, end, persistency: {id, offset, count}}`: `end` inclusive, lists sorted
 * and disjoint. `persistency` points at the bytes and so tells one write from another.
 */

/** The write that stored a range came with, `{id, offset}`, also where its bytes have rotted. */
const identityOf = ({ persistency }) => persistency.was ?? persistency;

/** The part of `ranges` inside `[start, end]`, as `{start, end, id, offset}`. */
function clipped(ranges, start, end) {
  return ranges
    .filter((range) => range.end >= start && range.start <= end)
    .map((range) => {
      const from = Math.max(range.start, start);
      const { id, offset } = identityOf(range);
      return {
        start: from,
        end: Math.min(range.end, end),
        id,
        offset: offset + from - range.start,
      };
    });
}

/** Appends a span, joining it to the last one where they touch and are of one kind. */
function append(spans, start, end, cleared) {
  const last = spans[spans.length - 1];
  if (last && last.end + 1 === start && last.cleared === cleared) {
    last.end = end;
  } else {
    spans.push({ start, end, cleared });
  }
}

/** Allocated spans in order, neighbours joined. */
function allocated(ranges) {
  const spans = [];
  for (const { start, end } of ranges) {
    append(spans, start, end, false);
  }
  return spans;
}

function sameBytes(before, after) {
  return before.id === after.id && before.offset - before.start === after.offset - after.start;
}

/**
 * What turns `before` into `after` (both clipped lists): spans in order of offset, `cleared` where
 * pages are no longer allocated. A page written again counts as changed whatever its bytes.
 */
function changes(before, after) {
  const spans = [];
  let [i, j, position] = [0, 0, 0];
  while (i < before.length || j < after.length) {
    const [old, now] = [before[i], after[j]];
    const oldStart = old ? Math.max(old.start, position) : Infinity;
    const nowStart = now ? Math.max(now.start, position) : Infinity;
    const start = Math.min(oldStart, nowStart);
    const inOld = oldStart === start;
    const inNow = nowStart === start;
    const end = Math.min(inOld ? old.end : oldStart - 1, inNow ? now.end : nowStart - 1);
    if (!(inOld && inNow && sameBytes(old, now))) {
      append(spans, start, end, !inNow);
    }
    position = end + 1;
    i += old && old.end < position ? 1 : 0;
    j += now && now.end < position ? 1 : 0;
  }
  return spans;
}

/** Neighbouring chunks of bytes joined: fewer pointers, fewer files to open. */
function joined(chunks) {
  const result = [];
  for (const chunk of chunks) {
    const last = result[result.length - 1];
    if (last && last.id === chunk.id && last.offset + last.count === chunk.offset) {
      last.count += chunk.count;
    } else {
      result.push({ id: chunk.id, offset: chunk.offset, count: chunk.count });
    }
  }
  return result;
}

module.exports = { allocated, changes, clipped, identityOf, joined };
