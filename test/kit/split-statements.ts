/**
 * Splits SQL text into statements at top-level semicolons: not inside quotes, comments or a trigger's body.
 * `node:sqlite` prepares only the first statement of a text and silently drops the rest; the platform runs them all.
 * Comments at a statement's start are removed, so that its first word can be looked at.
 */
export function splitStatements(sql: string): string[] {
  const statements: string[] = [];
  let text = "";
  const push = (): void => {
    const trimmed = text.trim();
    if (trimmed !== "") statements.push(trimmed);
    text = "";
  };
  for (let at = 0; at < sql.length; ) {
    const end = tokenEnd(sql, at);
    const token = sql.slice(at, end);
    at = end;
    if (token.startsWith("--") || token.startsWith("/*")) text += " ";
    else if (token === ";" && !insideTrigger(text)) push();
    else text += token;
  }
  push();
  return statements;
}

function tokenEnd(sql: string, at: number): number {
  const two = sql.slice(at, at + 2);
  if (two === "--") return endAfter(sql, "\n", at + 2);
  if (two === "/*") return endAfter(sql, "*/", at + 2);
  const first = sql[at];
  if (first === "'" || first === '"' || first === "`") return endAfter(sql, first, at + 1);
  if (first === "[") return endAfter(sql, "]", at + 1);
  return at + 1;
}

function endAfter(sql: string, mark: string, from: number): number {
  const found = sql.indexOf(mark, from);
  return found < 0 ? sql.length : found + mark.length;
}

/** A trigger's body holds semicolons; it is over once its text ends in END. */
function insideTrigger(text: string): boolean {
  return /^\s*CREATE\s+TRIGGER\b/i.test(text) && !/\bEND\s*$/i.test(text);
}
