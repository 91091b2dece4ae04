/** Why an attachment cannot be read or stored. */

/** A part is missing or fails its checksum. */
export class DamagedBlobError extends Error {
  readonly code = "damaged-blob";
  constructor(reason: "part-missing" | "checksum-mismatch") {
    super(`Cannot read attachment: ${reason}`);
  }
}

/** The vault has no room for the upload. */
export class BlobQuotaError extends Error {
  readonly code = "blob-quota";
  constructor() {
    super("Cannot store attachment: the quota is full");
  }
}

/** The room's storage was emptied while the upload was under way. */
export class BlobUploadLostError extends Error {
  readonly code = "blob-upload-lost";
  constructor() {
    super("Cannot store attachment: the room was erased meanwhile");
  }
}

/** The room's storage was emptied while the attachment was read. */
export class BlobReadLostError extends Error {
  readonly code = "blob-read-lost";
  constructor() {
    super("Cannot read attachment: the room was erased meanwhile");
  }
}
