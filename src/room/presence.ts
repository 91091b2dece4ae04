/**
 * Who is present in a room: per Yjs client id the newest clock, the state, and the connection that owns it. In memory only;
 * what must survive hibernation (ids and clocks a connection owns) goes to its socket's attachment (update laws, W6).
 *
 * Rules:
 * - Newer wins. An entry counts when its clock is above the known one, or equal with a null state while the id is present.
 *   Everything else is a repeat (providers re-send all they learn, ids and clocks unchanged: W4) and is neither relayed nor believed.
 * - The connection that brings a newer clock owns the id. So a client that reconnects takes its id along with its next change, and the
 *   late close of its old socket removes nothing. Answers and re-sends have no newer clock, so they own nothing.
 * - An equal-clock removal counts only from the owner, or when nobody owns the id: one client's timeout or close cannot remove
 *   another that is still connected. A removal with a newer clock is the client's own word, over whichever connection it comes.
 * - Closing removes what the connection owns, at the last clock and not above it, as stock servers do: peers accept a null at the clock they
 *   know, and the client's next change after a reconnect (last clock + 1) must still be newer.
 * - A departed id keeps its clock for a while, so that a state still under way cannot bring it back.
 * - Spoofing: whoever may write to the vault may also fake presence, but not for good. A clock may run ahead of the known one by a
 *   bounded step only, and every accepted entry is relayed to the client it names too; stock clients adopt the clock they hear for
 *   themselves, so their next change is newer again and takes the id back. Exhausting the clock takes 2^29 frames.
 */

import { LIMITS } from "../limits.ts";
import { type AwarenessEntry, encodeAwareness, removalEntry } from "../protocol/awareness-codec.ts";
import { FrameRefusedError } from "../protocol/refused.ts";

/** Names a connection: unique among the live ones. */
export type PresenceKey = string | number;

/** What a connection's attachment must hold from now on: the ids it owns with their last clocks. */
export type OwnedIds = readonly (readonly [client: number, clock: number])[];

export type PresenceOutcome = {
  /** Entries for everybody but the sender, in arrival order. */
  readonly relay: readonly AwarenessEntry[];
  /** Every entry is in `relay`, so the payload can be passed on as it came. */
  readonly relayWhole: boolean;
  /** Connections whose owned ids or clocks changed. Each must be written at once: a clock lost in hibernation is an id lost. */
  readonly attachments: ReadonlyMap<PresenceKey, OwnedIds>;
  /** The sender renewed or announced its own presence: echo the payload when it has heard nothing for `awarenessEchoSilenceMs` (W2). */
  readonly echoNeeded: boolean;
  /** Entries that were repeats, or whose clock ran ahead too far. */
  readonly ignored: number;
};

type KnownClient = {
  clock: number;
  /** Live owner, or null. */
  owner: PresenceKey | null;
  /** JSON text, null when departed, "unknown" when the id is present but its state is not in memory. */
  state: Uint8Array | null | "unknown";
};

export class Presence {
  readonly #clients = new Map<number, KnownClient>();
  /** Departed ids, oldest first. */
  readonly #departed = new Set<number>();
  readonly #owned = new Map<PresenceKey, Set<number>>();
  #stateBytes = 0;
  #unknown = 0;

  /** Bytes of states in memory. */
  get stateBytes(): number {
    return this.#stateBytes;
  }

  /** Ids present now. */
  get presentCount(): number {
    return this.#clients.size - this.#departed.size;
  }

  /**
   * Takes in what `sender` sent. States that are kept are copied.
   * @throws {FrameRefusedError} "awareness-too-many-ids" when the sender would own more than `maxAwarenessIdsPerSession`; nothing is taken in then.
   */
  apply(sender: PresenceKey, entries: readonly AwarenessEntry[]): PresenceOutcome {
    this.#checkRoom(sender, entries);
    const relay: AwarenessEntry[] = [];
    const changed = new Set<PresenceKey>();
    let echoNeeded = false;
    for (const entry of entries) {
      const known = this.#clients.get(entry.client);
      if (isNews(known, sender, entry)) {
        if (known !== undefined && known.owner !== null) changed.add(known.owner);
        this.#put(entry.client, entry.clock, entry.isNull ? null : sender, entry.isNull ? null : entry.state);
        if (known !== undefined || !entry.isNull) changed.add(sender);
        relay.push(entry);
        echoNeeded ||= !entry.isNull;
      } else if (known !== undefined && known.state === "unknown" && known.clock === entry.clock && !entry.isNull) {
        // An answer to our query after a wake: learnt, and told once to those who may have joined meanwhile.
        this.#put(entry.client, entry.clock, known.owner, entry.state);
        relay.push(entry);
        echoNeeded ||= known.owner === sender;
      } else {
        echoNeeded ||= known !== undefined && known.owner === sender && known.clock === entry.clock;
      }
    }
    return {
      relay,
      relayWhole: relay.length === entries.length,
      attachments: this.#attachments(changed),
      echoNeeded,
      ignored: entries.length - relay.length,
    };
  }

  /** Forgets a connection. Returns the removals everybody else must hear of. */
  close(session: PresenceKey): AwarenessEntry[] {
    const removals: AwarenessEntry[] = [];
    for (const client of this.#owned.get(session) ?? []) {
      const known = this.#clients.get(client);
      if (known !== undefined) removals.push(removalEntry(client, known.clock));
    }
    for (const { client, clock } of removals) this.#put(client, clock, null, null);
    this.#owned.delete(session);
    return removals;
  }

  /** Takes over what a connection's attachment held before hibernation. States are unknown until somebody answers a query. */
  restore(session: PresenceKey, owned: OwnedIds): void {
    for (const [client, clock] of owned) {
      const known = this.#clients.get(client);
      // Two attachments name one id only when the older one's write was lost; the newer clock is right.
      if (known === undefined || known.clock < clock) this.#put(client, clock, session, "unknown");
    }
  }

  /** What a joiner is told: an awareness payload with every state in memory, or null when there is none. */
  statesForJoiner(): Uint8Array | null {
    const entries: AwarenessEntry[] = [];
    for (const [client, { clock, state }] of this.#clients) {
      if (state instanceof Uint8Array) entries.push({ client, clock, state, isNull: false });
    }
    return entries.length === 0 ? null : encodeAwareness(entries);
  }

  /** Somebody is present whose state is not in memory: query the other connections when somebody joins. */
  hasUnknownStates(): boolean {
    return this.#unknown > 0;
  }

  /** Counts the ids the sender would own afterwards, before anything changes. */
  #checkRoom(sender: PresenceKey, entries: readonly AwarenessEntry[]): void {
    const owned = this.#owned.get(sender);
    if ((owned?.size ?? 0) + entries.length <= LIMITS.maxAwarenessIdsPerSession) return;
    const after = new Set(owned);
    for (const entry of entries) {
      if (!entry.isNull && isNews(this.#clients.get(entry.client), sender, entry)) after.add(entry.client);
    }
    if (after.size > LIMITS.maxAwarenessIdsPerSession) {
      throw new FrameRefusedError("awareness-too-many-ids", 0, `${after.size} ids from one connection exceed the limit of ${LIMITS.maxAwarenessIdsPerSession}`);
    }
  }

  /** Replaces what is known of an id, keeping owner sets, byte and unknown counts and the list of the departed in step. */
  #put(client: number, clock: number, owner: PresenceKey | null, state: Uint8Array | null | "unknown"): void {
    const old = this.#clients.get(client);
    if (old !== undefined) {
      if (old.state instanceof Uint8Array) this.#stateBytes -= old.state.byteLength;
      if (old.state === "unknown") this.#unknown -= 1;
      if (old.owner !== null && old.owner !== owner) this.#owned.get(old.owner)?.delete(client);
    }
    this.#departed.delete(client);
    let kept = state;
    if (state instanceof Uint8Array) {
      kept = this.#stateBytes + state.byteLength <= LIMITS.maxPresenceStateBytes ? state.slice() : "unknown";
    }
    if (kept instanceof Uint8Array) this.#stateBytes += kept.byteLength;
    if (kept === "unknown") this.#unknown += 1;
    this.#clients.set(client, { clock, owner, state: kept });
    if (owner !== null) {
      const set = this.#owned.get(owner);
      if (set === undefined) this.#owned.set(owner, new Set([client]));
      else set.add(client);
    }
    if (kept === null) this.#rememberDeparted(client);
  }

  #rememberDeparted(client: number): void {
    this.#departed.add(client);
    if (this.#departed.size <= LIMITS.maxPresenceTombstones) return;
    for (const oldest of this.#departed) {
      this.#departed.delete(oldest);
      this.#clients.delete(oldest);
      return;
    }
  }

  #attachments(changed: ReadonlySet<PresenceKey>): Map<PresenceKey, OwnedIds> {
    const attachments = new Map<PresenceKey, OwnedIds>();
    for (const session of changed) {
      const ids: [number, number][] = [];
      for (const client of this.#owned.get(session) ?? []) ids.push([client, this.#clients.get(client)?.clock ?? 0]);
      attachments.set(session, ids);
    }
    return attachments;
  }
}

/** Whether an entry says something newer than what is known. */
function isNews(known: KnownClient | undefined, sender: PresenceKey, entry: AwarenessEntry): boolean {
  if (entry.clock - (known?.clock ?? 0) > LIMITS.maxAwarenessClockStep) return false;
  // The removal of somebody never heard of tells nobody anything.
  if (known === undefined) return !entry.isNull;
  if (entry.clock > known.clock) return true;
  return entry.clock === known.clock && entry.isNull && known.state !== null && (known.owner === null || known.owner === sender);
}
