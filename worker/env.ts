/** Bindings and variables of the Worker. The names are those of existing YAOS installs (compat sheet, 1.1 and 1.2). */
export interface Env {
  /** One room object per vault, `idFromName(decoded vault id)`. */
  readonly YAOS_SYNC: DurableObjectNamespace;
  /** The install's own object, `idFromName("global-config")`. */
  readonly YAOS_CONFIG: DurableObjectNamespace;
  /** The shared secret, trimmed before use. Blank or absent: the server is unclaimed. */
  readonly SYNC_TOKEN?: string;
  /** What a claim must name besides its token. Blank or absent: the first visitor may claim. */
  readonly YAOS_CLAIM_CODE?: string;
  /** Any non-empty string: sockets take tickets only. */
  readonly YAOS_DISABLE_LEGACY_WS_TOKEN?: string;
  /** Life of a ticket in milliseconds, clamped to a second and a day; five minutes by default. */
  readonly YAOS_TICKET_TTL_MS?: string;
  /** `owner/repo` the status page links to. */
  readonly YAOS_CANONICAL_REPO?: string;
  /** Any non-empty string opens the admin routes. */
  readonly YAOS_ENABLE_ADMIN_ROUTES?: string;
  /** Counts wrong credentials for all isolates of a location. Optional. */
  readonly YAOS_RATE_LIMIT?: RateLimit;
  /** Name of the header in which the owner's own proxy writes the client's address. Blank or absent: no header is believed. */
  readonly YAOS_TRUSTED_IP_HEADER?: string;
  /** Attachments of existing installs, and of new ones that have R2. */
  readonly YAOS_BUCKET?: R2Bucket;
  /** `auto` (default): R2 when it is bound, else the room's database; `r2`; `sql`. */
  readonly YAOS_BLOB_BACKEND?: string;
  /** Bytes of attachments a room's database may hold. */
  readonly YAOS_BLOB_QUOTA_BYTES?: string;
}
