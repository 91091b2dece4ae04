/**
 * Whether the pre-chunk `document` joins the vault (compat sheet, 4.4). It is the state of a server of two days in March 2026; what came after it does not
 * continue it, so files deleted since would come back with it.
 */
import { DocumentSummaryCounter } from "../report/document-summary.ts";
import type { Pacer } from "../update/pacer.ts";
import type { UpdateVisitor } from "../update/visitor.ts";
import type { Source } from "./source.ts";
import { walkStructs } from "./struct-walk.ts";

/**
 * It joins when it names at least one file that is not deleted, nested metadata and `pathToId` alone included, and nothing else in the vault was ever written
 * to the maps of files: not even something deleted since, unlike the old rule, which looked at what is left.
 * @param others every other source
 * @param storeIsEmpty nothing of another origin is stored
 */
export function* documentJoins(document: Source, others: readonly Source[], storeIsEmpty: boolean, pacer: Pacer): Generator<null, boolean> {
  if (!storeIsEmpty || others.some((source) => source.touchesVaultMaps)) return false;
  const counter = new DocumentSummaryCounter(document.deletes);
  yield* counted(document, counter, pacer);
  const { activePathCount, pathToIdCount } = counter.finish();
  return activePathCount > 0 || pathToIdCount > 0;
}

function* counted(source: Source, counter: DocumentSummaryCounter, pacer: Pacer): Generator<null, void> {
  let of: Uint8Array | null = null;
  let visitor: UpdateVisitor = {};
  yield* walkStructs(
    source,
    (view, bytes) => {
      if (bytes !== of) {
        of = bytes;
        visitor = counter.visitor(bytes);
      }
      visitor.struct!(view);
    },
    pacer,
  );
}
