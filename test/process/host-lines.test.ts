/** Lines for people to paste: what the launcher prints, and what README.md says, go through a real shell against a real server. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { welcome } from "../../scripts/host/welcome.ts";
import { killStartedHosts, startHost } from "../kit/host-process.ts";

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** What a shell, Node, and a template of either could stumble over. */
const AWKWARD_TOKEN = "it's \"$HOME\" `id` \\' ${1} !!";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "yaos-lines-"));
});
afterEach(() => {
  killStartedHosts();
  rmSync(dir, { recursive: true, force: true });
});

describe("the lines npm start prints", () => {
  const lines = welcome({ url: "http://127.0.0.1:1", token: AWKWARD_TOKEN, dataDir: "/d" }).split("\n");
  const after = (start: string): string => lines.find((line) => line.startsWith(start))!.slice(start.length);

  it("[HO1] are whole shell words, whatever stands in the token", async () => {
    const { stdout } = await run("sh", ["-c", `printf '%s\\n' ${after("curl ")}`]);
    expect(stdout.split("\n")).toEqual(["-H", `Authorization: Bearer ${AWKWARD_TOKEN}`, "http://127.0.0.1:1/vault/hello/debug/recent", ""]);
  });

  it("[HO1] give the program the token as it is", async () => {
    const { stdout: program } = await run("sh", ["-c", `printf '%s' ${after("node --input-type=module -e ")}`]);
    const literal = /params: \{ token: (".*?[^\\]") \}/.exec(program)![1]!;
    const { stdout } = await run(process.execPath, ["-e", `process.stdout.write(${literal})`]);
    expect(stdout).toBe(AWKWARD_TOKEN);
  });

  it("[HO1] [HO4] work with a SYNC_TOKEN that has quotes", async () => {
    const host = await startHost({ dataDir: join(dir, "data"), env: { SYNC_TOKEN: AWKWARD_TOKEN } });
    const line = host.stdout().split("\n").find((text) => text.startsWith("curl "))!;
    const { stdout } = await run("sh", ["-c", `${line} -s -w '%{http_code}' -o /dev/null`]);
    expect(stdout).toBe("200");
    await host.stop();
  });
});

it("README's lines set the variables, and upload, find and fetch an attachment", async () => {
  const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/```sh\n(.*?)```/gs)].map(([, text]) => text!);
  const blockWith = (text: string): string => blocks.find((block) => block.includes(text))!;
  const bytes = randomBytes(100_000);
  writeFileSync(join(dir, "picture.png"), bytes);
  const host = await startHost({ dataDir: join(dir, ".data") });
  const variables = blockWith("TOKEN=").replace("http://127.0.0.1:8787", host.url);
  expect(variables).toContain(host.url);
  const { stdout } = await run("sh", ["-ec", variables + blockWith("sha256sum").replaceAll("curl ", "curl -sS --fail ")], { cwd: dir });
  expect(stdout).toMatch(/^\{"present":\["[0-9a-f]{64}"\]\}$/);
  expect(readFileSync(join(dir, "copy.png")).equals(bytes)).toBe(true);
  await host.stop();
});
