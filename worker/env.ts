/** Bindings and variables of the Worker. The names are those of existing YAOS installs (compat sheet, 1.1 and 1.2). */
export interface Env {
  /** One room object per vault, `idFromName(decoded vault id)`. */
  readonly YAOS_SYNC: DurableObjectNamespace;
  /** The install's own object, `idFromName("global-config")`. */
  readonly YAOS_CONFIG: DurableObjectNamespace;
  /** The shared secret, trimmed before use. Blank or absent: the server is unclaimed. */
  readonly SYNC_TOKEN?: string;
  /** Any non-empty string opens the admin routes. */
  readonly YAOS_ENABLE_ADMIN_ROUTES?: string;
  /** Counts wrong credentials for all isolates of a location. Optional. */
  readonly YAOS_RATE_LIMIT?: RateLimit;
  /** Name of the header in which the owner's own proxy writes the client's address. Blank or absent: no header is believed. */
  readonly YAOS_TRUSTED_IP_HEADER?: string;
}
