/** A reason not to start, or to stop, that its message explains to the operator; printed without a stack. */
export class HostError extends Error {
  override readonly name = "HostError";
}
