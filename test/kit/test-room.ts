import type { ConnectOptions, RoomHost } from "../../src/room/room-host.ts";
import { Room } from "../../src/room/room.ts";
import { NO_TAKEOVER, type TakeoverView } from "../../src/room/takeover-view.ts";
import { WriteNotes } from "../../src/room/write-note.ts";
import { SendBudget } from "../../src/room/send-budget.ts";
import { checksum } from "./checksum.ts";
import { DocClient } from "./doc-client.ts";
import type { FakePeer } from "./fake-peer.ts";
import { FaultySql, type Faults, ObjectResetError } from "./faulty-sql.ts";
import { FakeAlarm, ManualClock, ManualTimers } from "./manual-clock.ts";
import { MemoryLog } from "./memory-log.ts";
import { NodeSql } from "./node-sql.ts";

/**
 * One room object as the platform runs it: events in turns, writes of a turn kept together, frames held back until the turn is committed, and an instance
 * that dies takes its sockets with it. The database, the alarm and the commit note outlive the instance.
 */
export class TestRoom {
  readonly clock = new ManualClock();
  readonly alarm = new FakeAlarm();
  readonly log = new MemoryLog();
  timers: ManualTimers;
  sql: FaultySql;
  readonly clients = new Map<FakePeer, DocClient>();
  readonly sendBudget = new SendBudget();
  /** How the vault of an older server came into the next instance. */
  takeover: TakeoverView = NO_TAKEOVER;
  /** The object's key-value storage. */
  readonly keys = new Map<string, unknown>();
  /** What the install answers to a registration: the owner's epoch, or null for a failure. */
  registers: number | null | "never" = "never";
  registrations = 0;
  /** Times an instance died. */
  deaths = 0;
  #room: Room | null = null;
  /** Outside the object: outlives its instances. */
  readonly #notes = new WriteNotes();
  /** To be called when this turn's writes have reached the disk. */
  #confirmations: (() => void)[] = [];
  /** Peers that live through a wake. */
  #open = new Set<FakePeer>();

  constructor(faults: Faults = {}, database: NodeSql = new NodeSql()) {
    this.sql = new FaultySql(database, faults);
    this.timers = new ManualTimers(this.clock, (event) => void this.turn(event));
  }

  /** The instance; made when first needed. Use inside `turn` only, or for looking. */
  get room(): Room {
    this.#room ??= new Room(this.#host());
    return this.#room;
  }

  #host(): RoomHost {
    const open = this.#open;
    return {
      sql: this.sql,
      clock: this.clock,
      timers: this.timers,
      alarm: this.alarm,
      log: this.log,
      checksum,
      peers: () => [...open].filter((peer) => peer.closed === null),
      writeNote: this.#notes.open("room", (then) => void this.#confirmations.push(then)),
      sendBudget: this.sendBudget,
      takeover: this.takeover,
      keys: {
        get: (key) => structuredClone(this.keys.get(key)),
        put: (key, value) => void this.keys.set(key, structuredClone(value)),
        deleteAll: () => this.keys.clear(),
      },
      register: (answered) => {
        this.registrations += 1;
        const answer = this.registers;
        if (answer !== "never") this.timers.after(0, () => answered(answer));
      },
    };
  }

  /** Whether the note outside the object says that a write is under way, or was when the instance died. */
  get noteStands(): boolean {
    return this.#notes.isMarked("room");
  }

  /** Runs one event. Returns false when the instance died in it. */
  turn(event: (room: Room) => void): boolean {
    const queued = new Map([...this.#open].map((peer) => [peer, peer.sent.length]));
    try {
      this.sql.turn(() => event(this.room));
      for (const confirm of this.#confirmations.splice(0)) confirm();
      return true;
    } catch (error) {
      if (!(error instanceof ObjectResetError)) throw error;
      // The output gate: nothing of this turn left.
      for (const [peer, length] of queued) peer.sent.length = length;
      this.die();
      return false;
    }
  }

  /** Looks at the room in a turn of its own. */
  look<T>(view: (room: Room) => T): T {
    let value: T | undefined;
    this.turn((room) => {
      value = view(room);
    });
    return value as T;
  }

  /** The instance is gone, its sockets with it. @param inCommit whether the platform reset it in a commit; else the process was killed */
  die(): void {
    this.deaths += 1;
    this.#confirmations = [];
    for (const peer of this.#open) {
      peer.drop();
      this.clients.get(peer)?.lost();
    }
    this.#open.clear();
    this.clients.clear();
    this.timers.clear();
    this.#room = null;
    this.sql = this.sql.reopen();
  }

  /** The whole process is killed: the note outside the object dies too. */
  kill(): void {
    this.die();
    this.#notes.clear();
  }

  /** The instance is over, as after an erasure; its sockets stay. */
  replace(): void {
    this.#room = null;
  }

  /** The room is evicted while its sockets stay. */
  hibernate(): void {
    if (this.timers.pending > 0) throw new Error("TestRoom: a pending timer keeps the object awake");
    this.#room = null;
    this.sql = this.sql.reopen();
  }

  connect(client: DocClient, options: ConnectOptions = { door: "vault", text: true }): void {
    client.open();
    const { peer } = client;
    this.#open.add(peer);
    this.clients.set(peer, client);
    this.turn((room) => room.connect(peer, options));
  }

  disconnect(client: DocClient): void {
    const { peer } = client;
    peer.drop(1000);
    this.#open.delete(peer);
    this.clients.delete(peer);
    client.lost();
    this.turn((room) => room.disconnect(peer));
  }

  /** Hands over frames in both directions until nothing moves. Time stands still. */
  settle(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const [peer, client] of [...this.clients]) {
        client.read();
        for (let frame = client.outbox.shift(); frame !== undefined; frame = client.outbox.shift()) {
          moved = true;
          const bytes = frame;
          if (!this.turn((room) => room.receive(peer, bytes))) return;
        }
      }
    }
    for (const client of this.clients.values()) client.read();
  }

  /** Lets time pass, then settles; alarms that fall due run as turns. */
  pass(ms: number): void {
    this.settle();
    this.timers.advance(ms);
    if (this.alarm.takeDue(this.clock.nowMs())) this.turn((room) => room.onAlarm());
    this.settle();
    this.timers.runDue();
    this.settle();
  }
}

/** A client that was answered and says nothing more. */
export function connected(room: TestRoom): DocClient {
  const client = new DocClient();
  room.connect(client);
  room.pass(2_000);
  return client;
}
