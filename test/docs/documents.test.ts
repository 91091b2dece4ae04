/** The documents' tables follow the code. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/limits.ts";
import { CLOSE, type CloseCode } from "../../src/protocol/close-codes.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

test("[LM1] README's table has every limit with its value, and no other", () => {
  const rows = [...read("README.md").matchAll(/^\| `(\w+)` \| ([\d,.]+) ?(MiB|KiB|B|ms)? \|/gm)];
  const scale: Record<string, number> = { MiB: 1024 * 1024, KiB: 1024 };
  const written = Object.fromEntries(rows.map(([, name, value, unit]) => [name, Number(value!.replaceAll(",", "")) * (scale[unit ?? ""] ?? 1)]));
  expect(written).toEqual(LIMITS);
});

test("[CL1] SPEC's close table has every code with its retry, and no other", () => {
  const rows = [...read("SPEC.md").matchAll(/^\| (\d{4}) \| (.*?) \| (yes|no) \|/gm)];
  const codes: CloseCode[] = Object.values(CLOSE);
  for (const { code, reason, retry } of codes) {
    const ofCode = rows.filter(([, written]) => Number(written) === code);
    const row = ofCode.find(([, , text]) => text === "–" || text!.includes(`\`${reason}\``)) ?? (ofCode.length === 1 ? ofCode[0] : undefined);
    expect(row?.[3], `close code ${code} ${reason}`).toBe(retry ? "yes" : "no");
  }
  expect(new Set(rows.map(([, code]) => Number(code)))).toEqual(new Set(codes.map(({ code }) => code)));
});

test("[CK1] SPEC names every refusal", () => {
  const spec = read("SPEC.md");
  for (const file of ["src/update/refused.ts", "src/protocol/refused.ts"]) {
    const names = [...read(file).matchAll(/^ {2}\| "([a-z0-9-]+)"/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) expect(spec, file).toContain(`\`${name}\``);
  }
});

test("SPEC's rules are numbered once each, without holes", () => {
  const rules = [...read("SPEC.md").matchAll(/^- \[([A-Z]{2}\d+)\]/gm)].map(([, rule]) => rule);
  expect(new Set(rules).size).toBe(rules.length);
  for (const [, prefix, number] of rules.map((rule) => /^([A-Z]+)(\d+)$/.exec(rule!)!)) {
    if (Number(number) > 1) expect(rules, `before ${prefix}${number}`).toContain(`${prefix}${Number(number) - 1}`);
  }
});

test("every rule of SPEC stands in some test's name", () => {
  const rules = [...read("SPEC.md").matchAll(/^- \[([A-Z]{2}\d+)\]/gm)].map(([, rule]) => rule!);
  const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter((file) => /\.test\.ts$|-contract\.ts$/.test(file));
  // What stands in brackets at the head of a string, wherever the call before it begins.
  const named = new Set(tests.flatMap((file) => [...read(join("test", file)).matchAll(/["'`]((?:\[\w+\] ?)+) ?\S/g)].flatMap(([, head]) => head!.match(/\w+/g)!)));
  expect(rules.filter((rule) => !named.has(rule))).toEqual([]);
});

test("links between the documents lead somewhere", () => {
  for (const file of ["README.md", "SPEC.md", "DESIGN.md", "CONTRIBUTING.md", "TAKEOVER.md"]) {
    for (const [, target] of read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)) expect(() => read(target!), `${file}: ${target}`).not.toThrow();
  }
});
