/**
 * The Worker's own variables. The launcher hands each of these on from its environment when it is set and not blank;
 * the launcher makes a `SYNC_TOKEN`, or a `YAOS_CLAIM_CODE` for a server that waits to be claimed, when nobody did.
 * They travel as `fromEnvironment` bindings, so no secret is written into the workerd configuration.
 */
export const WORKER_VARIABLES = [
  "SYNC_TOKEN",
  "YAOS_CLAIM_CODE",
  "YAOS_ENABLE_ADMIN_ROUTES",
  "YAOS_DISABLE_LEGACY_WS_TOKEN",
  "YAOS_TICKET_TTL_MS",
  "YAOS_CANONICAL_REPO",
  "YAOS_TRUSTED_IP_HEADER",
  "YAOS_BLOB_BACKEND",
  "YAOS_BLOB_QUOTA_BYTES",
] as const;

/** The variables of the list that `environment` sets to something other than blanks. */
export function setVariables(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const set: Record<string, string> = {};
  for (const name of WORKER_VARIABLES) {
    const value = environment[name];
    if (value !== undefined && value.trim() !== "") set[name] = value;
  }
  return set;
}
