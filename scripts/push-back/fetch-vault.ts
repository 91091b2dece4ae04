import * as Y from "yjs";
import { PushBackError } from "./push-back-error.ts";
import { SchemaRefusedError, type VaultAddress, VaultConnection } from "./vault-connection.ts";
import { checkVault, type WholeVault } from "./vault-file.ts";
import { type Timings, TIMINGS } from "./timings.ts";

export interface FetchedVault extends WholeVault {
  /** What the server warned of: the vault may be less than its owner expects. */
  readonly notices: readonly string[];
}

const OLDEST_SCHEMA = 1;

/** The whole vault as an ordinary client gets it. Changes nothing there. @throws {PushBackError} */
export async function fetchVault(address: VaultAddress, timings: Timings = TIMINGS): Promise<FetchedVault> {
  const connection = await openReading(address, timings);
  try {
    const updates = await connection.ask(Uint8Array.of(0));
    // A large vault comes in parts of which only the last closes.
    const vault = checkVault(Y.mergeUpdates(updates), `What ${address.url} sent`);
    // Every id is a vault to a server, a mistyped one too.
    if (vault.facts.structs === 0) throw new PushBackError("vault-empty", `Vault ${address.vault} of ${address.url} is empty: is that its id?`);
    return { ...vault, notices: [...connection.notices] };
  } finally {
    connection.close();
  }
}

/** Whoever only reads may announce whatever schema the room has, and learns it by being refused once. */
async function openReading(address: VaultAddress, timings: Timings): Promise<VaultConnection> {
  try {
    return await VaultConnection.open(address, OLDEST_SCHEMA, timings);
  } catch (error) {
    if (!(error instanceof SchemaRefusedError) || error.roomSchemaVersion === null) throw error;
    return VaultConnection.open(address, error.roomSchemaVersion, timings);
  }
}
