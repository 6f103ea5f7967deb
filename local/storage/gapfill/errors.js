"use strict";
/** The refusals Azure documents for these operations, as Azurite's StorageError. */
const { load } = require("./azurite");

const StorageError = load("blob/errors/StorageError");

const REFUSALS = {
  AuthenticationFailed: [
    403,
    "Server failed to authenticate the request. Make sure the value of the Authorization header " +
      "is formed correctly including the signature.",
  ],
  BlobOverwritten: [409, "The blob has been recreated since the previous snapshot was taken."],
  Crc64Mismatch: [400, "The CRC64 value specified in the request did not match the content."],
  IncrementalCopyBlobMismatch: [
    409,
    "The source blob differs from the copy source of the existing incremental copy blob.",
  ],
  IncrementalCopyOfEarlierSnapshotNotAllowed: [
    409,
    "The snapshot is earlier than the last one copied into the incremental copy blob.",
  ],
  IncrementalCopySourceMustBeSnapshot: [
    409,
    "The source of an incremental copy must be a snapshot.",
  ],
  InvalidHeaderValue: [400, "The value for one of the HTTP headers is not in the correct format."],
  InvalidPageRange: [416, "The page range specified is invalid."],
  InvalidQueryParameterValue: [
    400,
    "Value for one of the query parameters specified in the request URI is invalid.",
  ],
  InvalidSourceBlobType: [409, "The copy source must be a page blob."],
  Md5Mismatch: [400, "The MD5 value specified in the request did not match the content."],
  OperationNotAllowedOnIncrementalCopyBlob: [
    409,
    "The operation is not allowed on an incremental copy blob.",
  ],
  PreviousSnapshotCannotBeNewer: [
    400,
    "The prevsnapshot query parameter value cannot be newer than the snapshot parameter value.",
  ],
  PreviousSnapshotNotFound: [409, "The previous snapshot is not found."],
  RequestBodyTooLarge: [413, "The request body is too large: a page write holds at most 4 MiB."],
  SourceConditionNotMet: [412, "The source condition specified by HTTP headers is not met."],
};

function refusal(code, context, details = {}) {
  const [status, message] = REFUSALS[code];
  return new StorageError(status, code, message, context.contextId, details);
}

/** The source's own refusal, passed on with the source's status as Azure does. */
function cannotVerifyCopySource(status, sourceCode, context) {
  const details = { CopySourceStatusCode: status, CopySourceErrorCode: sourceCode };
  const message = `Could not verify the copy source: it answered ${status} ${sourceCode}.`;
  const id = context.contextId;
  const error = new StorageError(status, "CannotVerifyCopySource", message, id, details);
  error.headers["x-ms-copy-source-status-code"] = String(status);
  error.headers["x-ms-copy-source-error-code"] = sourceCode;
  return error;
}

module.exports = { cannotVerifyCopySource, refusal };
