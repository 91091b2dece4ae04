/**
 * `npm run push-back`: brings an older YAOS server what was written since this server took its vault over (see `push-back/arguments.ts`).
 * Exit code 0 when the older server has all of it; 1 with one line that names what failed. Tokens are never printed.
 */
import { type PushBackArguments, readArguments, USAGE } from "./push-back/arguments.ts";
import { fetchVault, type FetchedVault } from "./push-back/fetch-vault.ts";
import { PushBackError } from "./push-back/push-back-error.ts";
import { sendVault } from "./push-back/send-vault.ts";
import type { VaultAddress } from "./push-back/vault-connection.ts";
import { assertFree, readVault, sha256, type WholeVault, writeVault } from "./push-back/vault-file.ts";

try {
  await run(readArguments(process.argv.slice(2), process.env));
} catch (error) {
  if (!(error instanceof PushBackError)) throw error;
  console.error(`push-back: ${error.code}: ${error.message}`);
  process.exitCode = 1;
}

async function run(args: PushBackArguments): Promise<void> {
  switch (args.kind) {
    case "help":
      return console.log(USAGE);
    case "save": {
      assertFree(args.out, args.force);
      const vault = await fetched(args.from);
      writeVault(args.out, vault.update, args.force);
      return console.log(`written to ${args.out}`);
    }
    case "send": {
      const vault = readVault(args.file);
      describe(args.file, vault);
      return send(vault, args.to);
    }
    case "both":
      return send(await fetched(args.from), args.to);
  }
}

async function fetched(from: VaultAddress): Promise<FetchedVault> {
  const vault = await fetchVault(from);
  describe(`vault ${from.vault} of ${from.url}`, vault);
  for (const notice of vault.notices) console.warn(`WARNING: the server said: ${notice}`);
  return vault;
}

async function send(vault: WholeVault, to: VaultAddress): Promise<void> {
  const report = await sendVault(vault, to, (line) => console.log(`  ${line}`));
  console.log(`sent to ${to.url}: ${report.bytes} bytes in ${report.pieces} ${report.pieces === 1 ? "piece" : "pieces"}, with ${report.deleteRanges} ranges of deletions it did not have`);
  console.log("checked with a new client: every edit and every deletion is there");
  if (!report.isSaveConfirmed) console.warn("WARNING: this server does not say what it saves; wait a minute, restart it, and run this again to see that all is there");
}

function describe(what: string, { update, facts, schemaVersion }: WholeVault): void {
  console.log(`${what}: ${update.byteLength} bytes, ${facts.structs} structs of ${facts.vector.size} clients, ${facts.deletes.rangeCount} ranges of deletions, schema ${schemaVersion}`);
  console.log(`sha256 ${sha256(update)}`);
}
