"use strict";
/** Who may do what, where Azurite's answer differs from Azure's. */
const { load, replace } = require("./azurite");
const { refusal } = require("./errors");

/** SAS permissions that Azurite's tables lack; a missing entry answers 500 there. */
function installPermissions() {
  const Operation = load("blob/generated/artifacts/operation");
  const blobSas = load("blob/authentication/OperationBlobSASPermission");
  const tables = [
    blobSas.OPERATION_BLOB_SAS_BLOB_PERMISSIONS,
    blobSas.OPERATION_BLOB_SAS_CONTAINER_PERMISSIONS,
    load("blob/authentication/OperationAccountSASPermission"),
  ];
  for (const table of tables) {
    table.set(Operation.PageBlob_UploadPagesFromURL, table.get(Operation.PageBlob_UploadPages));
  }
}

/** An expired SAS or a wrong signature: Azure's code for it is AuthenticationFailed. */
function installErrors() {
  replace(load("blob/errors/StorageErrorFactory"), "getAuthorizationFailure", (contextId) =>
    refusal("AuthenticationFailed", { contextId }),
  );
}

function install() {
  installPermissions();
  installErrors();
}

module.exports = { install };
