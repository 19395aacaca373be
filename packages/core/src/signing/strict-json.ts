import { isUtf8 } from 'node:buffer'

/** Strings, and what separates them. Numbers and words need no look: the text has been parsed before. */
const tokens = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

/**
 * The object that these bytes are in JSON, or null: no UTF-8, no JSON, no object, or a member that stands twice. Readers differ in which
 * of two members they take, so that one of them could check what another one does not see.
 */
export function strictObject(bytes: Buffer): Record<string, unknown> | null {
  if (!isUtf8(bytes)) return null
  const text = bytes.toString('utf8')
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) && !hasTwins(text) ? { ...value } : null
  } catch {
    return null
  }
}

/** Whether any object of a JSON text has two members of one name. */
function hasTwins(text: string): boolean {
  // The names of each object that is open; null for a list.
  const open: (Set<string> | null)[] = []
  let name: string | null = null
  for (const [token] of text.matchAll(tokens)) {
    if (token === '{') open.push(new Set())
    else if (token === '[') open.push(null)
    else if (token === '}' || token === ']') open.pop()
    else if (token === ':') {
      const names = open.at(-1)
      if (name === null || names === null || names === undefined || names.has(name)) return true
      names.add(name)
    }
    name = token.startsWith('"') ? (JSON.parse(token) as string) : null
  }
  return false
}
