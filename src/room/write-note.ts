/**
 * What is known of writes outside the object, because a full disk and a commit that fails reset it (update laws, C3): which kinds of write are under way,
 * and how many checkpoints failed in a row. Lasts as long as the isolate; one `WriteNotes` serves all its rooms.
 */

/** What a write under way belongs to. */
export type WriteKind = "commit" | "checkpoint";

/** The notes of one room, as its instance sees them. */
export interface WriteNote {
  /** The write the instance before this one died in, a commit before a checkpoint; until a write of that kind has reached the disk. */
  readonly died: WriteKind | null;
  /** Checkpoints that failed in a row, in this instance and those before it, those that ended an instance included. */
  checkpointFailures: number;
  begin(kind: WriteKind): void;
  /** Called in the turn of the write. When the disk has it the note is cleared, and the failures too if a checkpoint was `done`. */
  end(kind: WriteKind, checkpointDone: boolean): void;
}

interface Mark {
  /** An instance after the one that died here has counted it. */
  isCounted: boolean;
}

export class WriteNotes {
  readonly #marks = new Map<string, Mark>();
  readonly #failures = new Map<string, number>();

  /**
   * The notes of room `id` for a new instance of it.
   * @param confirmed calls its argument once the disk has everything written so far, and never when the instance is reset instead
   */
  open(id: string, confirmed: (then: () => void) => void): WriteNote {
    const marks = this.#marks;
    const failures = this.#failures;
    const keyOf = (kind: WriteKind): string => `${kind} ${id}`;
    const checkpoint = marks.get(keyOf("checkpoint"));
    if (checkpoint !== undefined && !checkpoint.isCounted) {
      checkpoint.isCounted = true;
      failures.set(id, (failures.get(id) ?? 0) + 1);
    }
    return {
      died: marks.has(keyOf("commit")) ? "commit" : checkpoint === undefined ? null : "checkpoint",
      get checkpointFailures() {
        return failures.get(id) ?? 0;
      },
      set checkpointFailures(count) {
        if (count === 0) failures.delete(id);
        else failures.set(id, count);
      },
      begin: (kind) => void marks.set(keyOf(kind), { isCounted: false }),
      end: (kind, checkpointDone) => {
        // Those of this moment: a write begun before the disk confirms this one keeps its note.
        const mine = marks.get(keyOf(kind));
        const other = keyOf(kind === "commit" ? "checkpoint" : "commit");
        const counted = marks.get(other);
        confirmed(() => {
          if (marks.get(keyOf(kind)) === mine) marks.delete(keyOf(kind));
          // Any write that reaches the disk proves the room; a death that was counted need not be remembered longer.
          if (counted?.isCounted === true && marks.get(other) === counted) marks.delete(other);
          if (checkpointDone) failures.delete(id);
        });
      },
    };
  }

  /** Whether a write of this room is under way, or was when its instance died. */
  isMarked(id: string): boolean {
    return this.#marks.has(`commit ${id}`) || this.#marks.has(`checkpoint ${id}`);
  }

  /** The room begins anew. */
  forget(id: string): void {
    this.#marks.delete(`commit ${id}`);
    this.#marks.delete(`checkpoint ${id}`);
    this.#failures.delete(id);
  }

  /** Forgets everything, as a killed process does. */
  clear(): void {
    this.#marks.clear();
    this.#failures.clear();
  }
}
