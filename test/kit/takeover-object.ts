import type * as Y from "yjs";
import { NO_TAKEOVER } from "../../src/room/takeover-view.ts";
import type { LegacyStorage } from "../../src/takeover/legacy.ts";
import type { MoveHost } from "../../src/takeover/move.ts";
import { type Opening, beginOpening } from "../../src/takeover/opening.ts";
import { checksum } from "./checksum.ts";
import { DocClient } from "./doc-client.ts";
import { FaultySql, type Faults, ObjectResetError } from "./faulty-sql.ts";
import { MemoryLegacy } from "./legacy-storage.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryLog } from "./memory-log.ts";
import { TestRoom } from "./test-room.ts";

/**
 * An object that may hold an older server's vault, as the platform runs it: the opening in turns, each step one commit; an instance that dies leaves the
 * database and the keys as the last turn left them.
 */
export class TakeoverObject {
  readonly legacy: MemoryLegacy;
  readonly clock = new ManualClock();
  readonly log = new MemoryLog();
  /** Turns of the last opening, the first included. */
  turns = 0;
  /** Times a room said that its holes are filled. */
  filled = 0;
  #sql: FaultySql;

  constructor(legacy: MemoryLegacy = new MemoryLegacy()) {
    this.legacy = legacy;
    this.#sql = new FaultySql(legacy.sql);
  }

  /** For what is done to an open object. Statements run inside `turn`. */
  get host(): MoveHost {
    return { sql: this.#sql, legacy: this.#legacy(), checksum, clock: this.clock, log: this.log };
  }

  #legacy(): LegacyStorage {
    const { legacy } = this;
    return {
      // Read only, and by rooms in turns of their own.
      sql: legacy.sql,
      get: (key) => legacy.get(key),
      list: (prefix, after, limit) => legacy.list(prefix, after, limit),
      delete: (keys) => legacy.delete(keys),
      sha256: () => legacy.sha256(),
    };
  }

  /**
   * Opens it anew. Returns null when the instance died.
   * @param stopAfter the instance is evicted after so many turns
   */
  open(faults: Faults = {}, stopAfter = Infinity): Opening | null {
    this.#sql = new FaultySql(this.legacy.sql, faults);
    this.turns = 0;
    return this.inTurns(() => beginOpening({ ...this.host, filled: () => void (this.filled += 1) }), (begun): begun is Opening => "view" in begun, stopAfter);
  }

  /** Opens it whatever it takes. */
  opened(): Opening {
    const opening = this.open();
    if (opening === null) throw new Error("TakeoverObject: died without a fault");
    return opening;
  }

  /** Runs something that is a value at once or steps to one, a turn each. Null when the instance died or was evicted. */
  inTurns<Value extends object>(begin: () => Value | Generator<null, Value>, isValue: (begun: Value | Generator<null, Value>) => begun is Value, stopAfter = Infinity): Value | null {
    const turn = <T>(event: () => T): T => {
      const keys = new Map(this.legacy.values);
      this.turns += 1;
      try {
        return this.#sql.turn(event);
      } catch (error) {
        if (error instanceof ObjectResetError) {
          this.legacy.values.clear();
          for (const [key, value] of keys) this.legacy.values.set(key, value);
        }
        throw error;
      }
    };
    try {
      const begun = turn(begin);
      if (isValue(begun)) return begun;
      while (this.turns < stopAfter) {
        const step = turn(() => begun.next());
        if (step.done === true) return step.value;
      }
      return null;
    } catch (error) {
      if (error instanceof ObjectResetError) return null;
      throw error;
    }
  }

  /** Everything a generator does, and what it returns. @throws when the instance dies */
  run<Value extends object>(steps: () => Generator<null, Value>): Value {
    const value = this.inTurns(steps, (begun): begun is Value => !("next" in begun));
    if (value === null) throw new Error("TakeoverObject: died without a fault");
    return value;
  }

  /** One turn of something short. */
  turn<T>(event: () => T): T {
    return this.#sql.turn(event);
  }

  /** A room over it as it was opened. */
  room(opening: Opening | null = null): TestRoom {
    const room = new TestRoom({}, this.legacy.sql);
    room.takeover = opening?.view ?? NO_TAKEOVER;
    return room;
  }

  /** A device with `doc` comes, stays for as long as commits take and goes; it edits when it is served. */
  visit(opening: Opening, doc: Y.Doc, edit: (doc: Y.Doc) => void = () => {}): DocClient {
    const room = this.room(opening);
    const client = new DocClient(doc);
    room.connect(client);
    room.pass(3_000);
    edit(doc);
    room.pass(12_000);
    return client;
  }

  /** What an empty client ends up with. */
  joined(opening: Opening): DocClient {
    const room = this.room(opening);
    const client = new DocClient();
    room.connect(client);
    room.pass(2_000);
    return client;
  }
}
