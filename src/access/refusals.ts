/**
 * Device credentials an isolate saw refused. A refusal stays right for ever: ids and secrets are random, a revocation is final and what a device covers
 * never changes. So a client that keeps knocking with a dead one costs no further request to the config object.
 */

const MAX_REMEMBERED = 1_000;

export class Refusals {
  readonly #keys = new Set<string>();

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  add(key: string): void {
    if (this.#keys.size >= MAX_REMEMBERED) {
      const oldest = this.#keys.values().next().value;
      if (oldest !== undefined) this.#keys.delete(oldest);
    }
    this.#keys.add(key);
  }
}
