import * as Y from "yjs";
import { ROOTS } from "./compare.ts";
import type { Random } from "./random.ts";

/** What random edits may contain. */
export interface EditOptions {
  /** Strings with surrogate pairs, cut anywhere (update laws, T6). */
  readonly surrogates: boolean;
}

const WORDS = ["a", "word ", "Überfluß ", "漢字", "\ufeffmark", "x".repeat(20), "tail. "];
const PAIRS = ["😀", "a🎈b", "👩‍👩‍👧", "🇫🇷x"];
const KEYS = ["one", "two", "three", "schlüssel"];
const FORMATS: Record<string, unknown>[] = [{ bold: true }, { bold: null }, { italic: true }, { italic: null }, { link: { href: "h" } }, { link: null }];
const MAX_DEPTH = 3;

/** One transaction of one to three random edits by the document's own client. */
export function randomEdit(doc: Y.Doc, random: Random, options: EditOptions): void {
  doc.transact(() => {
    const edits = random.chance(0.7) ? 1 : random.int(2, 3);
    for (let edit = 0; edit < edits; edit += 1) editOnce(doc, random, options);
  }, "local");
}

function editOnce(doc: Y.Doc, random: Random, options: EditOptions): void {
  const kind = random.unit();
  if (kind < 0.4) editText(doc.getText(ROOTS.text), random, options);
  else if (kind < 0.6) editMap(doc.getMap(ROOTS.map), random, options, 0);
  else if (kind < 0.78) editArray(doc.getArray(ROOTS.array), random, options, 0);
  else if (kind < 0.95) editXml(doc.getXmlFragment(ROOTS.xml), random, options, 0);
  else doc.getMap(ROOTS.sys).set("schemaVersion", random.int(1, 3));
}

function editText(text: Y.Text, random: Random, options: EditOptions): void {
  const length = text.length;
  const at = random.int(0, length);
  const kind = random.unit();
  if (length === 0 || kind < 0.5) {
    if (random.chance(0.3)) text.insert(at, randomString(random, options), random.pick(FORMATS));
    else text.insert(at, randomString(random, options));
  } else if (kind < 0.72) {
    const from = random.int(0, length - 1);
    text.delete(from, random.int(1, Math.min(length - from, 8)));
  } else if (kind < 0.9) {
    const from = random.int(0, length - 1);
    text.format(from, random.int(1, length - from), random.pick(FORMATS));
  } else if (kind < 0.95) text.insertEmbed(at, { image: random.int(0, 9) }, random.chance(0.5) ? { width: 3 } : {});
  else text.delete(0, length);
}

function editMap(map: Y.Map<unknown>, random: Random, options: EditOptions, depth: number): void {
  const kind = random.unit();
  const key = random.pick(KEYS);
  const nested = map.get(key);
  if (nested instanceof Y.AbstractType && kind < 0.5 && depth < MAX_DEPTH) editNested(nested, random, options, depth);
  else if (kind < 0.75) map.set(key, randomValue(random, options, depth));
  else if (kind < 0.9) map.delete(key);
  else for (const name of map.keys()) map.delete(name);
}

function editArray(array: Y.Array<unknown>, random: Random, options: EditOptions, depth: number): void {
  const kind = random.unit();
  const { length } = array;
  const nested = length > 0 ? array.get(random.int(0, length - 1)) : undefined;
  if (nested instanceof Y.AbstractType && kind < 0.3 && depth < MAX_DEPTH) editNested(nested, random, options, depth);
  else if (length === 0 || kind < 0.6) {
    const values = Array.from({ length: random.int(1, 3) }, () => itemOf(randomValue(random, options, depth)));
    array.insert(random.int(0, length), values);
  } else if (kind < 0.8) {
    const from = random.int(0, length - 1);
    array.delete(from, random.int(1, Math.min(3, length - from)));
  } else {
    // A move, as applications do it without a move operation.
    const from = random.int(0, length - 1);
    const value = array.get(from);
    if (value instanceof Y.AbstractType || value instanceof Y.Doc) return;
    array.delete(from, 1);
    array.insert(random.int(0, array.length), [value]);
  }
}

/** Yjs takes `undefined` and big integers in maps, not in arrays. */
function itemOf(value: unknown): unknown {
  return value === undefined || typeof value === "bigint" ? null : value;
}

function editXml(parent: Y.XmlFragment, random: Random, options: EditOptions, depth: number): void {
  const kind = random.unit();
  const { length } = parent;
  const child = length > 0 ? parent.get(random.int(0, length - 1)) : undefined;
  if (child !== undefined && kind < 0.45 && depth < MAX_DEPTH) editNested(child, random, options, depth);
  else if (length === 0 || kind < 0.8) {
    const made = random.chance(0.5) ? new Y.XmlElement(random.pick(["p", "h1"])) : new Y.XmlText(randomString(random, options));
    parent.insert(random.int(0, length), [made]);
  } else parent.delete(random.int(0, length - 1), 1);
}

function editNested(type: unknown, random: Random, options: EditOptions, depth: number): void {
  if (type instanceof Y.XmlElement && random.chance(0.4)) {
    if (random.chance(0.7)) type.setAttribute(random.pick(KEYS), randomString(random, options));
    else type.removeAttribute(random.pick(KEYS));
  } else if (type instanceof Y.XmlFragment) editXml(type, random, options, depth + 1);
  else if (type instanceof Y.Text) editText(type, random, options);
  else if (type instanceof Y.Map) editMap(type, random, options, depth + 1);
  else if (type instanceof Y.Array) editArray(type, random, options, depth + 1);
}

function randomValue(random: Random, options: EditOptions, depth: number): unknown {
  const kind = random.int(0, depth < MAX_DEPTH ? 14 : 10);
  switch (kind) {
    case 0:
      return null;
    case 1:
      return undefined;
    case 2:
      return random.int(-5, 5_000_000_000);
    case 3:
      return random.unit();
    case 4:
      return random.chance(0.5);
    case 5:
      return Uint8Array.from({ length: random.int(0, 9) }, () => random.int(0, 255));
    case 6:
      return { deep: [random.int(0, 9), { nothing: null }], text: randomString(random, options) };
    case 7:
      return new Y.Doc({ guid: `sub-${random.int(0, 1e9)}`, autoLoad: random.chance(0.5), gc: random.chance(0.8) });
    case 8:
      return BigInt(random.int(-1000, 1000)) * 1_000_000_007n;
    case 11:
      return new Y.Map([["seed", random.int(0, 99)]]);
    case 12:
      return Y.Array.from([random.int(0, 9), "item"]);
    case 13:
      return new Y.Text(randomString(random, options));
    case 14:
      return new Y.XmlElement("node");
    default:
      return randomString(random, options);
  }
}

function randomString(random: Random, options: EditOptions): string {
  return options.surrogates && random.chance(0.5) ? random.pick(PAIRS) : random.pick(WORDS);
}
