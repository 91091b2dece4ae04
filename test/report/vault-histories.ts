/** Random vault histories: several devices writing one vault's maps as plugins of schemas 1, 2 and 3 do, with conflicts, undo and resets. */
import * as Y from "yjs";
import type { Random } from "../kit/random.ts";

const IDS = ["a", "b", "c", "d", "e", "f"];
const PATHS = ["notes/a.md", "b.md", "\uFEFFbom.md", "日記/😀.md", "deep/er/c.md", "d.md"];

interface Device {
  readonly doc: Y.Doc;
  readonly undo: Y.UndoManager;
  /** How much of the log this device has taken in. */
  seen: number;
}

/** The updates of a history, in the order the room got them. */
export function vaultHistory(random: Random, steps: number): Uint8Array[] {
  const log: Uint8Array[] = [];
  const devices: Device[] = [];
  for (let index = random.int(2, 4); index > 0; index--) {
    const doc = new Y.Doc({ gc: random.chance(0.8) });
    doc.clientID = random.int(1, 0xffff_ffff);
    const device = { doc, undo: new Y.UndoManager([doc.getMap("meta"), doc.getMap("pathToId"), doc.getMap("idToText")], { captureTimeout: 0 }), seen: 0 };
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "room") log.push(update);
    });
    devices.push(device);
  }
  for (let step = 0; step < steps; step++) {
    const device = random.pick(devices);
    if (random.chance(0.4)) catchUp(device, log);
    else edit(random, device);
  }
  // Everybody settles, so that what devices delete on integration (update laws, T3) is sometimes in the log, sometimes not.
  if (random.chance(0.5)) {
    for (const device of devices) {
      catchUp(device, log);
      if (random.chance(0.5)) log.push(Y.encodeStateAsUpdate(device.doc));
    }
  }
  return log;
}

function catchUp(device: Device, log: readonly Uint8Array[]): void {
  device.doc.transact(() => {
    for (; device.seen < log.length; device.seen++) Y.applyUpdate(device.doc, log[device.seen]!, "room");
  }, "room");
}

function edit(random: Random, { doc, undo }: Device): void {
  const meta = doc.getMap<unknown>("meta");
  const pathToId = doc.getMap<unknown>("pathToId");
  const idToText = doc.getMap<unknown>("idToText");
  const sys = doc.getMap<unknown>("sys");
  const id = random.pick(IDS);
  const path = random.pick(PATHS);
  const text = idToText.get(id);
  const nested = meta.get(id);
  const actions: (() => void)[] = [
    // Schema 1: a file with its path, body and flat metadata.
    () => {
      pathToId.set(path, random.chance(0.9) ? id : random.pick<unknown>(["", 7, null, undefined, true, { path }, new Uint8Array([1])]));
      if (random.chance(0.7)) idToText.set(id, new Y.Text("# note"));
      meta.set(id, { path, mtime: random.int(1, 1e12), device: "x".repeat(random.int(0, 200)) });
    },
    () => {
      meta.set(id, { path, mtime: 1.5, deleted: true });
      pathToId.delete(path);
    },
    // Schema 2: the same without pathToId, tombstones by time.
    () => meta.set(id, { path, deletedAt: random.pick<unknown>([1_700_000_000_000, -1, 0.5, null, "soon"]) }),
    () => meta.set(id, { nested: [{ path: "no" }, [1, 2]], path, deleted: false, extra: { path: "inner", deleted: true }, big: 2n ** 40n }),
    // Schema 3: nested metadata, fields set again and again.
    () => {
      const file = new Y.Map<unknown>();
      file.set("path", path);
      file.set("mtime", 5);
      if (random.chance(0.3)) file.set("deletedAt", 77);
      meta.set(id, file);
    },
    () => {
      if (!(nested instanceof Y.Map)) return;
      nested.set("path", random.chance(0.9) ? path : 5);
      nested.set("mtime", random.int(1, 100));
      if (random.chance(0.3)) nested.set("deletedAt", random.pick<unknown>([9, null, Infinity]));
      if (random.chance(0.2)) nested.set("deleted", random.chance(0.5));
      if (random.chance(0.2)) nested.delete("deletedAt");
      if (random.chance(0.1)) nested.delete("path");
      if (random.chance(0.1)) nested.set("deeper", new Y.Map([["path", "hidden.md"]]));
    },
    // Values that are no metadata.
    () => meta.set(id, random.pick<unknown>([5, "text", null, undefined, ["path"], { path: 5 }, new Uint8Array([1, 2])])),
    () => meta.set(id, random.chance(0.5) ? new Y.Array() : new Y.Doc()),
    () => sys.set(random.pick(["schemaVersion", "schemaVersion", "lastSync"]), random.pick<unknown>([1, 2, 3, 8, "3", null, 2.25, 1e300])),
    () => (random.chance(0.3) ? sys.delete("schemaVersion") : meta.delete(id)),
    () => idToText.delete(id),
    // Bodies: typing, deleting, formats; deleted runs look like deleted map values until their list is known.
    () => {
      if (!(text instanceof Y.Text)) return;
      text.insert(random.int(0, text.length), "some words 😀 ");
      if (text.length > 4) text.delete(random.int(0, text.length - 4), 3);
      if (random.chance(0.3)) text.format(0, 1, { bold: true });
      if (random.chance(0.2)) text.setAttribute("path", "attribute.md");
    },
    // Lists in other roots, and list content in our own.
    () => doc.getArray<unknown>("path").push(["path", { path: "list.md" }, 5]),
    () => doc.getMap<unknown>("blobMeta").set(id, { path: "blob.md" }),
    () => undo.undo(),
    () => undo.redo(),
    // Nuclear reset.
    () => {
      if (random.chance(0.85)) return;
      for (const map of [meta, pathToId, idToText]) map.clear();
    },
  ];
  const count = random.int(1, 4);
  const run = (): void => {
    for (let turn = 0; turn < count; turn++) random.pick(actions.slice(0, -3))();
  };
  if (random.chance(0.2)) random.pick(actions.slice(-3))();
  else doc.transact(run);
}
