/**
 * Every limit of the server, with unit, headroom and source. What can grow has a limit here and nowhere else.
 * The local runtime enforces few of the platform's limits, so the code and the test kit do.
 */

const KIB = 1024;
const MIB = 1024 * 1024;

export const LIMITS = {
  /** Largest WebSocket frame accepted, bytes. The platform closes above with 1009 (Durable Objects: 32 MiB, tried). */
  maxFrameBytes: 32 * MIB,
  /** Largest update sent in one frame, bytes; above it a joiner gets causal frames, last first (update laws, A4). */
  maxServeFrameBytes: 31.5 * MIB,
  /** Largest BLOB we ever bind, bytes. Production documents 2 MB per row; the local runtime allows 8 MB. */
  maxBlobBytes: 1_900_000,
  /** Largest journal row, payload and summary together, bytes. An update that does not fit goes to a checkpoint. */
  maxJournalRowBytes: 1.5 * MIB,
  /** The journal is checkpointed when it holds this many bytes (update laws, P3 and A9: keep the tail under 256 KiB). */
  checkpointJournalBytes: 256 * KIB,
  /** ... or this many rows: a wake reads every row's summary. */
  checkpointJournalRows: 512,
  /** Chunk size the writer aims at, bytes. Comfortably under `maxBlobBytes`. */
  chunkBytes: 1 * MIB,
  /** The open tail chunk is sealed above this, bytes, so a checkpoint rewrites little (update laws, C6). */
  tailChunkBytes: 256 * KIB,
  /** The delete set's delta is folded into its shards above this, bytes, or above a quarter of the base (update laws, A6). */
  deleteDeltaBytes: 64 * KIB,
  /** Size a delete shard is cut at, bytes. A client with more ranges than fit continues in the next shard. */
  deleteShardBytes: 64 * KIB,
  /** A chunk is rewritten when later structs refer to more places inside its structs than this: each costs a loading client a split (update laws, P1). */
  chunkCutPoints: 1_024,
  /** Commit window while edits flow, milliseconds. */
  commitWindowMs: 1_000,
  /** ... or when the window holds this many bytes. */
  commitWindowBytes: 64 * KIB,
  /** Answers and relays above this go through the isolate's send budget, bytes. */
  bigSendBytes: 1 * MIB,
  /** Bytes of such sends on their way at once, over all rooms of an isolate (update laws, A4: objects share 128 MB). */
  sendBudgetBytes: 48 * MIB,
  /** A client that does not answer a query gives its share of the budget back after this long, and is served all the same. */
  sendCreditWaitMs: 2_000,
  /** A room waiting for the send budget asks again after this long. */
  sendRetryMs: 20,
  /** Edits that follow the last relayed frame within this time share the next one; an edit after a pause goes out at once. */
  relayWindowMs: 8,
  /** Bytes that end such a window early. */
  relayWindowBytes: 64 * KIB,
  /** Nesting depth of `Any`/JSON content that the reader follows (genuine clients stay far below; update laws, A1). */
  maxContentDepth: 1_000,
  /** Structs in one update, collected ones not counted: a rewrite keeps some 100 bytes for each. A 34 MB vault has 618,000. */
  maxStructsPerUpdate: 1_000_000,
  /** Delete ranges in one update: 16 bytes each in memory, some times over. A vault of ten years has some 400,000 (update laws, A6). */
  maxDeleteRangesPerUpdate: 1_000_000,
  /** Clients in one state vector or one update. A vault of ten years has some thousands (update laws, W8). */
  maxClientsPerMessage: 100_000,
  /** Largest state vector frame, bytes: `maxClientsPerMessage` at up to 14 bytes each, rounded. */
  maxStateVectorBytes: 2 * MIB,
  /** Largest awareness frame, bytes. */
  maxAwarenessBytes: 256 * KIB,
  /** Awareness states in one frame, and remembered for one connection. The attachment (16 KiB) holds the ids. */
  maxAwarenessStatesPerFrame: 2_500,
  maxAwarenessIdsPerSession: 256,
  /** How far an awareness clock may run ahead of the one the room knows (0 when it knows none): 10 changes a second for 19 days unseen. */
  maxAwarenessClockStep: 2 ** 24,
  /** Bytes of presence states a room remembers; states beyond it are relayed, and asked for again when somebody joins. */
  maxPresenceStateBytes: 8 * MIB,
  /** Ids of clients that left whose last clock a room remembers, so that a late re-send does not bring them back. */
  maxPresenceTombstones: 4_096,
  /** Bytes of structs held behind gaps per room, as stored. */
  maxPendingBytes: 16 * MIB,
  /** ... and how many updates: each is looked at when a gap closes. */
  maxPendingUpdates: 4_096,
  /** Bytes relayed and not on disk that a room holds while it waits for its commit, above which writers are told to come back. */
  maxUnsavedBytes: 64 * MIB,
  /** The same while storage fails: nobody knows for how long. */
  maxUnprovenBytes: 8 * MIB,
  /** Delete ranges in one update that lie beyond what the room knows. */
  maxUnknownDeleteRanges: 100_000,
  /** Characters of a receipt's base64 vector; old plugins drop longer ones (compat sheet, 3.4). */
  maxReceiptVectorChars: 65_536,
  /** Sessions in one room. */
  maxSessionsPerRoom: 2_000,
  /** Room id, UTF-8 bytes after decoding. `ctx.id.name` is missing above 1,024 bytes (platform page, section 3). */
  maxRoomIdBytes: 1_024,
  /** A stock y-websocket reconnects after 30 s of silence; its own renewal is echoed when we were silent this long. */
  awarenessEchoSilenceMs: 12_000,
  /** Trace entries kept in memory, and stored for errors. */
  traceRingEntries: 100,
  storedErrorEntries: 50,
  /** Largest vault, bytes of chunks and journal, for which debug counts a document summary. */
  maxSummaryVaultBytes: 16 * MIB,
  /** Pause before a step of compaction: it belongs to the alarm, not to somebody's edit. */
  compactionDelayMs: 1_000,
  /** A client that is refused for now, or needs what the room has lost, is told so at once and closed after this: it would be back at once, and meanwhile somebody may help. */
  refusalHoldMs: 10_000,
  /** Largest attachment, bytes: what existing plugins are told and skip above (compat sheet, 2.4). */
  maxBlobUploadBytes: 10 * MIB,
  /** Attachments kept in a room's own database, bytes in all; `YAOS_BLOB_QUOTA_BYTES` sets another. An account without R2 has 5 GB for all its objects. */
  maxVaultBlobBytes: 1_024 * MIB,
  /** Attachments are stored in rows of this many bytes, so an upload or a download holds one such part. */
  blobPartBytes: 1 * MIB,
  /** Uploads a room takes at once; each may hold a part. Plugins send a handful each. */
  maxBlobUploadsAtOnce: 32,
  /** An upload that brings nothing for this long is dropped: a connection that died without a word must not keep its place. */
  blobStallMs: 60_000,
  /** Hashes looked at in one `blobs/exists` (compat sheet, 2.5). */
  maxExistsHashes: 50,
  /** Bytes per second of one session, before they are parsed, and how much may come at once: two whole frames, as an answer to our question after weeks offline is one. */
  maxSessionBytesPerSecond: 4 * MIB,
  maxSessionBurstBytes: 64 * MIB,
  /** Frames per second of one session, and how many may come at once: a client that was offline for weeks sends each of its edits. */
  maxSessionFramesPerSecond: 2_000,
  maxSessionBurstFrames: 20_000,
  /** Pause between two notices to a read-only session that its edits are not taken. */
  readOnlyNoticeMs: 1_000,
  /** Runs of the path that decides the room's schema version: one per plugin start, some 20 bytes each. Above, the older half is dropped. */
  maxSchemaPathRuns: 1_024,
  /** Sets of the schema version kept because what they follow has not come. */
  maxSchemaOrphans: 256,
  /** Structs of one update, or one chunk, looked at more closely as possible sets of the schema version; a chunk cannot hold more. */
  maxSchemaCandidates: 200_000,
  /** Checkpoint failures in a row that open the circuit breaker. */
  checkpointBreakerFailures: 3,
  /** JSON request body, bytes. The largest honest one names 50 attachments, 4 KiB. */
  maxJsonBodyBytes: 64 * KIB,
  /** Devices in force on one install, and as many revoked ones it still lists. */
  maxDevices: 1_000,
  /** Vaults one device is ever admitted to: a credential for all vaults must not fill the list of whom to tell. */
  maxRoomsPerDevice: 10_000,
  /** A device's last-seen time is written at most this often; rows are billed. */
  lastSeenStepMs: 60_000,
  /** Pairing codes waiting to be redeemed, and how long each is good. */
  maxPairings: 100,
  pairingLifeMs: 600_000,
  /** The Worker's copy of the config object's answer is used this long by an isolate, and checked again before a refusal when older than the second. */
  configCacheMs: 60_000,
  configRecheckMs: 2_000,
  /** Refused device credentials an isolate asks the config object about per minute before it looks for their ids first: somebody is guessing. */
  blindAdmissionsPerMinute: 20,
  /** Rooms told of a revocation at once; in a wave, after which it is kept which were; and calls at most per request: Workers may make 1,000 internal requests each. */
  roomCallsAtOnce: 6,
  roomCallsPerWave: 100,
  maxRoomCalls: 900,
  /** Connects of one credential in a minute. All devices of a vault may share one token, and all come back at once after a restart. */
  connectsPerMinute: 600,
  /** Wrong credentials of one address in a minute; further ones are put off, a valid one never. A household with a stale token stays under it. */
  authFailuresPerMinute: 20,
  /** Credentials and addresses whose counts an isolate remembers, each under 300 bytes. */
  maxRateKeys: 10_000,
  /** A takeover stores this many bytes of an older vault at once; some times as much is in memory meanwhile. */
  takeoverBatchBytes: 2 * MIB,
  /** Bytes of a large legacy update that are looked at side by side, over all its clients. */
  takeoverWindowBytes: 8 * MIB,
  /** Debug waits this long for a takeover under way, then says how far it is. */
  debugWaitMs: 10_000,
  /** Moves begun without any progress after which none is tried by itself any more. */
  maxTakeoverAttempts: 5,
  /** Bytes of an older vault served from memory while our own tables cannot be read: with edits it goes out as one frame (`maxServeFrameBytes`). */
  maxFallbackBytes: 24 * MIB,
  /** Values an older server left that are listed at once: manifests and metadata, and chunks, each of which may bring 2 MB of backing buffer (compat sheet, 4.2). */
  legacyListBatch: 16,
  legacyChunkBatch: 4,
  /** Missing records of an older server named one by one; the rest are counted. */
  maxNamedLegacyLosses: 1_000,
  /** Longest URL up to its query, bytes as sent. A room id of 1,024 bytes is 3,072 when every byte is escaped. */
  maxPathBytes: 8 * KIB,
  /** Longest query, bytes as sent. A ticket takes some 1,500. */
  maxQueryBytes: 16 * KIB,
} as const;

if (LIMITS.maxJournalRowBytes > LIMITS.maxBlobBytes || LIMITS.chunkBytes > LIMITS.maxBlobBytes) {
  throw new Error("limits: a journal row and a chunk must fit a BLOB");
}
if (LIMITS.blobPartBytes > LIMITS.maxBlobBytes) throw new Error("limits: a part of an attachment must fit a BLOB");
if (LIMITS.maxServeFrameBytes >= LIMITS.maxFrameBytes) throw new Error("limits: a served frame must fit a frame");
if (LIMITS.maxFallbackBytes + LIMITS.bigSendBytes >= LIMITS.maxServeFrameBytes) throw new Error("limits: an older vault served from memory must fit a served frame");
