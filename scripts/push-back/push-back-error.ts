/** Why a push-back ended without having done all of it. */
export type PushBackFault =
  | "usage"
  | "wrong-token"
  | "unreachable"
  | "schema-refused"
  | "server-refused"
  | "connection-lost"
  | "timeout"
  | "vault-empty"
  | "file-unreadable"
  | "file-unwritable"
  | "file-exists"
  | "file-damaged"
  | "too-large"
  | "not-saved"
  | "not-all-there";

/** Told to the owner without a stack: what was tried, and why it failed. */
export class PushBackError extends Error {
  override readonly name = "PushBackError";
  readonly code: PushBackFault;

  constructor(code: PushBackFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
