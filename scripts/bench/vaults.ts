/**
 * Vaults as real ones look: notes of 4 KB, 40 edits each (60 % insert a word, 40 % delete one) spread over dozens of past client ids.
 * Made once from a seed and kept in the cache directory; every server is seeded with the same bytes.
 */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Y from "yjs";
import { Random } from "./random.ts";

/** Who created the notes: one device that imported the vault (every first device does), or all of them. */
export type VaultForm = "one" | "many";

export interface Vault {
  /** Also the room name, for example `v13-one`. */
  readonly name: string;
  readonly form: VaultForm;
  /** The size asked for, in MB of Yjs's own encoding. */
  readonly megabytes: number;
  /** Yjs's one-frame encoding of the whole vault. */
  readonly whole: Uint8Array;
  /** The same in causal updates of at most about 8 MB: how it travels to a server. */
  readonly frames: readonly Uint8Array[];
  /** What a client that has everything answers to a step 1: no structs, all deletions. */
  readonly upToDateAnswer: Uint8Array;
  readonly stateVector: Uint8Array;
}

/** Raise when the generator changes: old caches are then left alone. */
const GENERATOR = "3";
const NOTE_BYTES = 4096;
const EDITS_PER_NOTE = 40;
const EDITS_PER_SITTING = 8;
/** Measured: what one note with its edits takes in Yjs's encoding, bytes. */
const ENCODED_NOTE_BYTES = 5_340;
/** How often a vault under construction is cut: what goes into one update. */
interface Cuts {
  readonly notes: number;
  readonly edits: number;
}
const FRAME_CUTS: Cuts = { notes: 1_600, edits: 120_000 };
/** With all deletions so far an entry of the largest vault then has at most about 1.4 MB: the older servers could not store 2 MB in one piece. */
const ENTRY_CUTS: Cuts = { notes: 250, edits: 24_000 };

/** The vault of that size and form, from the cache or made now. */
export function loadVault(cacheDir: string, megabytes: number, form: VaultForm, log: (line: string) => void): Vault {
  const name = `v${megabytes}-${form}`;
  const dir = join(cacheDir, `vaults-${GENERATOR}`, name);
  if (!existsSync(dir)) {
    log(`making vault ${name} (once)`);
    writeVault(dir, megabytes, form);
  }
  const read = (file: string): Uint8Array => new Uint8Array(readFileSync(join(dir, file)));
  const frames = readdirSync(dir).filter((file) => file.startsWith("frame-")).toSorted().map(read);
  return { name, form, megabytes, whole: read("whole.bin"), frames, upToDateAnswer: read("answer.bin"), stateVector: read("vector.bin") };
}

/** The vault as an older server's journal holds it: every entry what is new since the one before, and all deletions up to then. From the cache or made now. */
export function loadLegacyJournal(cacheDir: string, megabytes: number, log: (line: string) => void): Uint8Array[] {
  const dir = join(cacheDir, `vaults-${GENERATOR}`, `v${megabytes}-one-legacy`);
  if (!existsSync(dir)) {
    log(`making the legacy journal of ${megabytes} MB (once)`);
    const made = `${dir}.making-${process.pid}`;
    rmSync(made, { recursive: true, force: true });
    mkdirSync(made, { recursive: true });
    cutVault(new Random(seedOf(megabytes, "one")), megabytes, "one", ENTRY_CUTS, (entry, number) => writeFileSync(join(made, `entry-${String(number).padStart(3, "0")}.bin`), entry)).destroy();
    renameSync(made, dir);
  }
  return readdirSync(dir).toSorted().map((file) => new Uint8Array(readFileSync(join(dir, file))));
}

const seedOf = (megabytes: number, form: VaultForm): number => Math.round(megabytes * 1000) * 2 + (form === "many" ? 1 : 0);

function writeVault(dir: string, megabytes: number, form: VaultForm): void {
  const made = `${dir}.making-${process.pid}`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  const doc = cutVault(new Random(seedOf(megabytes, form)), megabytes, form, FRAME_CUTS, (frame, number) => writeFileSync(join(made, `frame-${String(number).padStart(3, "0")}.bin`), frame));
  const vector = Y.encodeStateVector(doc);
  writeFileSync(join(made, "whole.bin"), Y.encodeStateAsUpdate(doc));
  writeFileSync(join(made, "answer.bin"), Y.encodeStateAsUpdate(doc, vector));
  writeFileSync(join(made, "vector.bin"), vector);
  doc.destroy();
  renameSync(made, dir);
}

/** Makes the vault and hands out, as it grows, what is new since the last cut. */
function cutVault(random: Random, megabytes: number, form: VaultForm, cuts: Cuts, keep: (update: Uint8Array, number: number) => void): Y.Doc {
  const doc = new Y.Doc();
  let vector = Y.encodeStateVector(doc);
  let number = 0;
  fillVault(doc, random, megabytes, form, cuts, () => {
    keep(Y.encodeStateAsUpdate(doc, vector), number++);
    vector = Y.encodeStateVector(doc);
  });
  return doc;
}

/** First the import, then years of sittings in random notes: the clocks of editors then lie across the vault, as they do in life. */
function fillVault(doc: Y.Doc, random: Random, megabytes: number, form: VaultForm, cuts: Cuts, cut: () => void): void {
  const notes = Math.max(8, Math.round((megabytes * 1_000_000) / ENCODED_NOTE_BYTES));
  const clients = Array.from({ length: Math.min(60, 12 + Math.round(megabytes * 3)) }, (_, i) => 1_000_000 + i * 7_919_317);
  const clientFor = (): number => clients[random.below(clients.length)] ?? 1;
  const bodies = doc.getMap<Y.Text>("idToText");
  const paths = doc.getMap<string>("pathToId");
  const texts: Y.Text[] = [];
  for (let note = 0; note < notes; note++) {
    if (form === "many" || note === 0) doc.clientID = form === "many" ? clientFor() : 4_242_424;
    doc.transact(() => {
      const text = new Y.Text(prose(random));
      bodies.set(`note-${note}`, text);
      paths.set(`folder ${note % 40}/note ${note}.md`, `note-${note}`);
      texts.push(text);
    });
    if ((note + 1) % cuts.notes === 0) cut();
  }
  cut();
  const sittings = (notes * EDITS_PER_NOTE) / EDITS_PER_SITTING;
  for (let sitting = 0; sitting < sittings; sitting++) {
    doc.clientID = clientFor();
    const text = texts[random.below(texts.length)];
    if (text === undefined) continue;
    for (let edit = 0; edit < EDITS_PER_SITTING; edit++) doc.transact(() => editNote(text, random));
    if (((sitting + 1) * EDITS_PER_SITTING) % cuts.edits === 0) cut();
  }
  cut();
}

function editNote(text: Y.Text, random: Random): void {
  const at = random.below(Math.max(1, text.length - 20));
  if (random.next() < 0.6) text.insert(at, `${word(random)} `);
  else text.delete(at, 3 + random.below(9));
}

const SYLLABLES = ["ba", "den", "ki", "lor", "mus", "ne", "pra", "quo", "ris", "stu", "tam", "ver", "wo", "xen", "yel", "zu"];

function word(random: Random): string {
  let out = "";
  for (let n = 2 + random.below(3); n > 0; n--) out += SYLLABLES[random.below(SYLLABLES.length)] ?? "";
  return out;
}

function prose(random: Random): string {
  let out = "";
  while (out.length < NOTE_BYTES) out += random.below(12) === 0 ? ".\n" : `${word(random)} `;
  return out;
}
