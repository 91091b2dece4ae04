/** Keystrokes as a client sends them: one update per character, typed into a text of its own, without loading the vault. */
import * as Y from "yjs";

export class Typist {
  readonly #doc = new Y.Doc();
  readonly #text = this.#doc.getText("bench");
  #latest: Uint8Array = new Uint8Array();
  /** Bytes of all updates made. */
  bytes = 0;

  constructor(clientId?: number) {
    if (clientId !== undefined) this.#doc.clientID = clientId;
    this.#doc.on("update", (update: Uint8Array) => {
      this.#latest = update;
      this.bytes += update.length;
    });
  }

  /** The update for typing `text` at the end. */
  type(text: string): Uint8Array {
    this.#text.insert(this.#text.length, text);
    return this.#latest;
  }

  /** The text so far, for comparing with what a reader got. */
  written(): string {
    return this.#text.toString();
  }
}

/** The bench text of a document made from `updates`. */
export function readTyped(updates: readonly Uint8Array[]): string {
  const doc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(doc, update);
  return doc.getText("bench").toString();
}
