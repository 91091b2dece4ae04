import { describe, expect, it } from "vitest";
import { readArguments } from "../../scripts/push-back/arguments.ts";

const read = (line: string, environment: Record<string, string> = {}) => readArguments(line === "" ? [] : line.split(" "), environment);

describe("arguments of push-back", () => {
  it("[TK15] name two steps, or both in one", () => {
    expect(read("save --from https://a.example/ --vault v --token t --out f")).toEqual({ kind: "save", from: { url: "https://a.example", vault: "v", token: "t" }, out: "f", force: false });
    expect(read("send --file f --to http://localhost:8787 --vault v", { YAOS_TOKEN: "t" })).toEqual({ kind: "send", file: "f", to: { url: "http://localhost:8787", vault: "v", token: "t" } });
    expect(read("--from https://a --to https://b --vault v", { YAOS_TOKEN: "t", YAOS_TO_TOKEN: "u" })).toEqual({
      kind: "both",
      from: { url: "https://a", vault: "v", token: "t" },
      to: { url: "https://b", vault: "v", token: "u" },
    });
    expect(read("--help")).toEqual({ kind: "help" });
  });

  it.each([
    ["", /--from is missing|no token/],
    ["save --from https://a --vault v --token t", /--out is missing/],
    ["save --from ftp://a --vault v --token t --out f", /Not the address of a server/],
    ["send --file f --to https://a --vault v", /no token for --to/],
    ["send --file f --to https://a --vault v --token t --out f", /--out has no meaning here/],
    ["--from https://a --to https://a/ --vault v --token t", /the same address/],
    ["restore --from https://a", /neither save nor send: restore/],
    ["save --verbose", /Unknown option '--verbose'/],
  ])("[TK15] that are wrong are named: %s", (line, named) => {
    expect(() => read(line)).toThrow(expect.objectContaining({ code: "usage", message: expect.stringMatching(named) }) as Error);
  });
});
