/** Where an install's updates come from, as the plugin keeps it on the server (compat sheet, 1.3). Nothing of it is used by the server. */

/** `undefined`: leave what is stored. */
export type UpdateMetadata = {
  readonly updateProvider: string | undefined;
  readonly updateRepoUrl: string | undefined;
  readonly updateRepoBranch: string | undefined;
};

export type UpdateMetadataFault = "invalid updateProvider" | "invalid updateRepoUrl" | "invalid updateRepoBranch";

const PROVIDERS: ReadonlySet<string> = new Set(["github", "gitlab", "unknown"]);
const BRANCH = /^[A-Za-z0-9._/-]{1,120}$/;
const MAX_URL_CHARS = 2_048;

/** Checks the three fields of a body. `null`, missing and blank ones leave the stored value; everything else must be right. */
export function readUpdateMetadata(body: Readonly<Record<string, unknown>>): UpdateMetadata | { readonly fault: UpdateMetadataFault } {
  const updateProvider = field(body["updateProvider"], (text) => (PROVIDERS.has(text) ? text : null));
  if (updateProvider === null) return { fault: "invalid updateProvider" };
  const updateRepoUrl = field(body["updateRepoUrl"], repoUrl);
  if (updateRepoUrl === null) return { fault: "invalid updateRepoUrl" };
  const updateRepoBranch = field(body["updateRepoBranch"], (text) => (BRANCH.test(text) && !text.includes("..") ? text : null));
  if (updateRepoBranch === null) return { fault: "invalid updateRepoBranch" };
  return { updateProvider, updateRepoUrl, updateRepoBranch };
}

function field(value: unknown, read: (text: string) => string | null): string | null | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") return null;
  const text = value.trim();
  return text === "" ? undefined : read(text);
}

/** An http(s) URL of a repository without query, hash, trailing slashes and `.git`. */
function repoUrl(text: string): string | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return null;
  }
  if ((url.protocol !== "https:" && url.protocol !== "http:") || url.username !== "" || url.password !== "") return null;
  const path = url.pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  const stored = url.origin + path;
  return path.split("/").filter(Boolean).length >= 2 && stored.length <= MAX_URL_CHARS ? stored : null;
}
