import * as Y from "yjs";
import type { Random } from "../kit/random.ts";

const TEXTS = ["a", "word ", "é", "漢字", "🙂", "a🙂b", "\ufeffbom", "line\n", "👩‍👩‍👧"];

/** One random edit that makes structs of every kind today's documents write. */
export function randomEdit(doc: Y.Doc, random: Random): void {
  const text = doc.getText("text");
  const map = doc.getMap("map");
  const array = doc.getArray<unknown>("array");
  const xml = doc.getXmlFragment("xml");
  const at = random.int(0, text.length);
  switch (random.int(0, 13)) {
    case 0:
    case 1:
    case 2:
      text.insert(at, random.pick(TEXTS).repeat(random.int(1, 4)));
      break;
    case 3:
      text.delete(at, Math.min(random.int(1, 6), text.length - at));
      break;
    case 4:
      text.format(at, Math.min(4, text.length - at), { [random.pick(["bold", "lien", "漢"])]: random.pick([true, null, "x", { a: [1] }]) });
      break;
    case 5:
      text.insertEmbed(at, { image: random.pick(TEXTS), n: random.unit() });
      break;
    case 6:
      map.set(random.pick(["a", "b", "clé"]), randomValue(random, 0));
      break;
    case 7:
      map.set(random.pick(["t", "m", "x"]), random.pick([() => new Y.Text("in"), () => new Y.Map([["k", 1]]), () => new Y.Array()])());
      break;
    case 8:
      map.delete(random.pick(["a", "b", "clé", "t", "m", "x"]));
      break;
    case 9:
      array.insert(random.int(0, array.length), Array.from({ length: random.int(1, 4) }, () => listValue(random)));
      break;
    case 10:
      if (array.length > 0) array.delete(random.int(0, array.length - 1), 1);
      break;
    case 11:
      array.push([random.pick([() => new Uint8Array([1, 2, 3]), () => new Y.Doc({ gc: random.chance(0.5), autoLoad: random.chance(0.2), meta: { a: 1 } })])()]);
      break;
    case 12:
      // Hooks are missing from the declared types of insert, not from what it takes.
      xml.insert(0, [random.pick([() => new Y.XmlElement("p"), () => new Y.XmlText("x"), () => new Y.XmlHook("hook")])() as Y.XmlElement]);
      break;
    default:
      if (xml.length > 0) xml.delete(0, 1);
  }
}

/** Arrays take neither undefined nor bigint at their top level. */
function listValue(random: Random): unknown {
  const value = randomValue(random, 0);
  return value === undefined || typeof value === "bigint" ? null : value;
}

function randomValue(random: Random, depth: number): unknown {
  const scalars = [null, undefined, true, false, 0, -1, 63, 64, -64, 2 ** 31, 1.5, 0.1, -0, 2 ** 53, 12n, "", "🙂", "漢", new Uint8Array([1])];
  if (depth > 2 || random.chance(0.7)) return random.pick(scalars);
  if (random.chance(0.5)) return [randomValue(random, depth + 1), randomValue(random, depth + 1)];
  return { é: randomValue(random, depth + 1), b: randomValue(random, depth + 1) };
}

/** Incremental updates of 1 to 3 authors who edit at the same time and exchange now and then. In an order that has no gaps. */
export function genuineUpdates(random: Random, edits: number): Uint8Array[] {
  const updates: Uint8Array[] = [];
  const docs = Array.from({ length: random.int(1, 3) }, () => {
    const doc = new Y.Doc({ gc: random.chance(0.7) });
    doc.clientID = random.int(1, 0xffffffff);
    doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== "sync") updates.push(update);
    });
    return doc;
  });
  for (let i = 0; i < edits; i++) {
    const doc = random.pick(docs);
    doc.transact(() => {
      for (let n = random.int(1, 3); n > 0; n--) randomEdit(doc, random);
    });
    if (random.chance(0.3)) Y.applyUpdate(doc, Y.encodeStateAsUpdate(random.pick(docs)), "sync");
  }
  return updates;
}
