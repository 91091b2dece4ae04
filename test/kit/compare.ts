import * as Y from "yjs";

/** The roots every random history uses. */
export const ROOTS = { text: "text", map: "map", array: "array", xml: "xml", sys: "sys" } as const;

/**
 * A document for comparisons. Yjs cleans up format marks after remote transactions and so edits on its own (update laws,
 * T7); here that is switched off by showing its observers a local transaction, as L1 demands.
 */
export function plainDoc(updates: readonly Uint8Array[] = [], options: { gc?: boolean; clientId?: number } = {}): Y.Doc {
  const doc = new Y.Doc({ gc: options.gc ?? true, guid: "plain" });
  doc.clientID = options.clientId ?? 0;
  switchOffFormatCleanup(doc);
  for (const update of updates) Y.applyUpdate(doc, update, "remote");
  return doc;
}

export function switchOffFormatCleanup(doc: Y.Doc): void {
  const foreign = new WeakSet<Y.Transaction>();
  doc.on("beforeObserverCalls", (transaction: Y.Transaction) => {
    if (transaction.local) return;
    foreign.add(transaction);
    transaction.local = true;
    // The same flag makes Yjs forget its cached positions after remote changes, which must still happen.
    for (const type of transaction.changed.keys()) {
      const { _searchMarker: markers } = type as unknown as { _searchMarker: unknown[] | null };
      if (markers !== null) markers.length = 0;
    }
  });
  doc.on("afterTransaction", (transaction: Y.Transaction) => {
    if (foreign.has(transaction)) transaction.local = false;
  });
}

/** A copy through Yjs's own encoding: same content and vector, neighbours merged. */
export function cloneDoc(doc: Y.Doc, gc = true): Y.Doc {
  return plainDoc([Y.encodeStateAsUpdate(doc)], { gc });
}

/**
 * Yjs may keep structs pending that it could integrate, as it waits for one missing client at a time (update laws, T9).
 * Handing the pending update in again settles it.
 */
export function retryPending(doc: Y.Doc): void {
  for (let round = 0; round < 10; round += 1) {
    const pending = doc.store.pendingStructs;
    if (pending === null) return;
    const before = Y.encodeStateVector(doc);
    doc.store.pendingStructs = null;
    Y.applyUpdateV2(doc, pending.update, "remote");
    if (Buffer.compare(before, Y.encodeStateVector(doc)) === 0) return;
  }
}

/** JSON and deltas of all roots as one text, key order evened out. */
export function showDoc(doc: Y.Doc): string {
  return stable({
    text: show(doc.getText(ROOTS.text)),
    map: show(doc.getMap(ROOTS.map)),
    array: show(doc.getArray(ROOTS.array)),
    xml: show(doc.getXmlFragment(ROOTS.xml)),
    sys: show(doc.getMap(ROOTS.sys)),
  });
}

/** The vector as `client:clock` entries, clients ascending. */
export function showVector(vector: ReadonlyMap<number, number>): string {
  return [...vector]
    .filter(([, clock]) => clock > 0)
    .sort(([a], [b]) => a - b)
    .map(([client, clock]) => `${client}:${clock}`)
    .join(" ");
}

export function docVector(doc: Y.Doc): Map<number, number> {
  return Y.decodeStateVector(Y.encodeStateVector(doc));
}

/**
 * Yjs's own encoding after merging neighbouring GC structs, which an incrementally fed document may leave apart
 * (update laws, L2). Merging them in place changes nothing a document shows. Pending structs are left out.
 */
export function canonicalBytes(doc: Y.Doc): Uint8Array {
  for (const structs of doc.store.clients.values()) mergeNeighbourGcs(structs);
  const { pendingStructs, pendingDs } = doc.store;
  doc.store.pendingStructs = null;
  doc.store.pendingDs = null;
  const bytes = Y.encodeStateAsUpdate(doc);
  doc.store.pendingStructs = pendingStructs;
  doc.store.pendingDs = pendingDs;
  return bytes;
}

/** What differs between two documents, or null when JSON, deltas, vector and snapshot are equal. */
export function difference(actual: Y.Doc, expected: Y.Doc): string | null {
  const [shownActual, shownExpected] = [showDoc(actual), showDoc(expected)];
  if (shownActual !== shownExpected) return `content\n  actual   ${shownActual}\n  expected ${shownExpected}`;
  const [vectorActual, vectorExpected] = [showVector(docVector(actual)), showVector(docVector(expected))];
  if (vectorActual !== vectorExpected) return `vector\n  actual   ${vectorActual}\n  expected ${vectorExpected}`;
  const [snapshotActual, snapshotExpected] = [Y.snapshot(actual), Y.snapshot(expected)];
  if (!Y.equalSnapshots(snapshotActual, snapshotExpected)) {
    return `snapshot\n  actual   ${showDeletes(snapshotActual)}\n  expected ${showDeletes(snapshotExpected)}`;
  }
  return null;
}

/** As `difference`, and the bytes up to neighbouring GCs. */
export function byteDifference(actual: Y.Doc, expected: Y.Doc): string | null {
  const found = difference(actual, expected);
  if (found !== null) return found;
  const [bytesActual, bytesExpected] = [canonicalBytes(actual), canonicalBytes(expected)];
  if (Buffer.compare(bytesActual, bytesExpected) === 0) return null;
  return `bytes\n  actual   ${showStructs(bytesActual)}\n  expected ${showStructs(bytesExpected)}`;
}

/** One line per struct, for messages. */
export function showStructs(update: Uint8Array): string {
  const { structs } = Y.decodeUpdate(update);
  return structs
    .map((struct) => {
      const { client, clock } = struct.id;
      const kind = struct instanceof Y.Item ? struct.content.constructor.name : struct.constructor.name;
      return `${client}@${clock}+${struct.length} ${kind}`;
    })
    .join("; ");
}

function showDeletes(snapshot: Y.Snapshot): string {
  return [...snapshot.ds.clients]
    .sort(([a], [b]) => a - b)
    .map(([client, ranges]) => `${client}:${ranges.map((range) => `${range.clock}+${range.len}`).join(",")}`)
    .join(" ");
}

function mergeNeighbourGcs(structs: (Y.Item | Y.GC)[]): void {
  let kept = 0;
  for (let at = 1; at < structs.length; at += 1) {
    const left = structs[kept];
    const right = structs[at] as Y.Item | Y.GC;
    if (left instanceof Y.GC && right instanceof Y.GC) left.mergeWith(right);
    else {
      kept += 1;
      structs[kept] = right;
    }
  }
  if (structs.length > 0) structs.length = kept + 1;
}

function show(value: unknown): unknown {
  if (value instanceof Y.XmlElement) return { element: value.nodeName, attributes: value.getAttributes(), children: value.toArray().map(show) };
  if (value instanceof Y.XmlFragment) return { fragment: value.toArray().map(show) };
  if (value instanceof Y.Text) return { delta: value.toDelta().map(show), attributes: value.getAttributes() };
  if (value instanceof Y.Map) return { entries: Object.fromEntries([...value.entries()].map(([key, entry]) => [key, show(entry)])) };
  if (value instanceof Y.Array) return value.toArray().map(show);
  if (value instanceof Y.Doc) return { subdocument: value.guid, autoLoad: value.autoLoad };
  if (value instanceof Uint8Array) return { binary: Buffer.from(value).toString("hex") };
  if (typeof value === "bigint") return { bigint: value.toString() };
  if (value === undefined) return { undefined: true };
  if (Array.isArray(value)) return value.map(show);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, show(entry)]));
  return value;
}

function stable(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) =>
    typeof entry === "object" && entry !== null && !Array.isArray(entry)
      ? Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : entry,
  );
}
