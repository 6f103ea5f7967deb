"use strict";
/**
 * Node preload that holds Azurite to what one page blob serves in Azure: so many bytes and so many
 * requests a second (by default the published 60 MiB and 500).
 *
 * A copy or a clear of pages waits until the blob has served those before it: first come, first
 * served, as through a pipe; where too many wait already, it is answered 503. So the storage is what
 * limits a transfer here, and not the processors that storage and worker share. `GET /__moved`
 * answers how many bytes of copies each blob has served.
 */
const { Server } = require("node:http");

const limit = (name, usual) => Number(process.env[`BENCH_BLOB_${name}`] ?? usual);
const bytesPerSecond = limit("BYTES_PER_SECOND", 60 * 1024 * 1024);
const requestsPerSecond = limit("REQUESTS_PER_SECOND", 500);
/** So many milliseconds of a blob's time may be asked for ahead. */
const backlog = limit("BACKLOG_MS", 2000);
/** By blob: when it will have served all it was asked for, and the bytes of its copies. */
const pipes = new Map();

function pipeOf(path) {
  if (!pipes.has(path)) {
    pipes.set(path, { freeAt: 0, moved: 0 });
  }
  return pipes.get(path);
}

/** How many bytes the request copies; a clear moves none. */
function bytesOf({ headers }) {
  if (headers["x-ms-page-write"] === "clear") {
    return 0;
  }
  const [first, last] = (headers["x-ms-range"] ?? headers.range).slice("bytes=".length).split("-");
  return last - first + 1;
}

/** Lets the request into its blob's pipe: the milliseconds until it comes out of it, if it may. */
function wait(request) {
  const pipe = pipeOf(request.url.split("?", 1)[0]);
  const now = performance.now();
  if (pipe.freeAt > now + backlog) {
    return undefined;
  }
  const bytes = bytesOf(request);
  const busy = 1000 * Math.max(bytes / bytesPerSecond, 1 / requestsPerSecond);
  pipe.moved += bytes;
  pipe.freeAt = Math.max(now, pipe.freeAt) + busy;
  return pipe.freeAt - now;
}

/** Whether pages are copied or cleared; what a disk's owner writes is not held back. */
function isLimited({ method, headers }) {
  const write = headers["x-ms-page-write"];
  return method === "PUT" && (write === "clear" || (write && "x-ms-copy-source" in headers));
}

function answerMoved(response) {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(Object.fromEntries([...pipes].map(([k, { moved }]) => [k, moved]))));
}

function answerBusy(response) {
  const message = "The server is currently unable to receive requests. Please retry your request.";
  response.writeHead(503, { "content-type": "application/xml", "x-ms-error-code": "ServerBusy" });
  response.end(`<Error><Code>ServerBusy</Code><Message>${message}</Message></Error>`);
}

const stock = Server.prototype.emit;

Server.prototype.emit = function (event, request, ...rest) {
  if (event !== "request" || !(request.url === "/__moved" || isLimited(request))) {
    return stock.call(this, event, request, ...rest);
  }
  const pause = isLimited(request) ? wait(request) : 0;
  if (request.url === "/__moved") {
    answerMoved(rest[0]);
  } else if (pause === undefined) {
    answerBusy(rest[0]);
  } else {
    setTimeout(() => stock.call(this, event, request, ...rest), pause);
  }
  return true;
};
