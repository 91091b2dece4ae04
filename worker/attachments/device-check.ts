/** Whether a device that began an upload may still end it. */
import { callConfig } from "../access/config-calls.ts";
import type { Env } from "../env.ts";

/**
 * Asks the config object once more, since uploads last: a device revoked meanwhile must not leave anything. One object request.
 * The device's secret was checked when the upload began. @throws when the config object does not answer
 */
export async function mayStillWrite(env: Env, device: string, vault: string): Promise<boolean> {
  const { status, body } = await callConfig(env, "POST", "/__yaos/devices/admit", { id: device, secretHash: null, vault });
  if (status !== 200) throw new Error(`Cannot admit a device: status ${status}`);
  return body["ok"] === true && body["mode"] === "rw";
}
