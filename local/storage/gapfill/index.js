"use strict";
/**
 * Node preload (`node -r index.js <azurite>`) that gives Azurite what disks need and it lacks.
 *
 * Each module patches one idea into Azurite 3.35's classes before its servers are built.
 */
require("./lifetime").install();
require("./access").install();
require("./extents").install();
require("./copies").install();
require("./put-page").install();
require("./bounds").install();
require("./listing").install();
require("./listing-faults").install();
require("./put-from-url").install();
require("./incremental-copy").install();
require("./controls").install();
