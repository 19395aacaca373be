// A line that sets a name, as dotenv reads it: what stands before the value, the value, what stands behind it. Quotes may span lines.
const assignment =
  /^(\uFEFF?[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*)('[^']*'|"(?:\\[\s\S]|[^"\\])*"|[^\r\n]*?)([ \t]+#[^\r\n]*|[ \t]*)(\r?\n|\r?$(?![\s\S]))/gm

/** What holds between quotes of a kind for every reader; without quotes nothing that a shell, dotenv or Compose would read as its own. */
// Behind a backslash dotenv does not take a quote for the last one.
const fits: Record<string, RegExp> = { '': /^[\w.\-:/@+=,%?]*$/, "'": /^(?:[^'\r\n\0]*[^'\r\n\0\\])?$/, '"': /^[^"\\$`\r\n\0]*$/ }

/** Each name with its value; of a name that is there twice the last one, as every reader takes it. */
export function envValues(text: string): Map<string, string> {
  return new Map([...text.matchAll(assignment)].map(([, , name = '', value = '']) => [name, unquoted(value)]))
}

/** Whether a value can be written so that every reader reads the same. */
export const isEnvValue = (value: string): boolean => Object.values(fits).some((pattern) => pattern.test(value))

/**
 * The text with these values: in the place where a name stands, else at the end; null takes the line away. Comments, order, quotes and
 * line ends stay.
 */
export function withEnvValues(text: string, values: { readonly [name: string]: string | null }): string {
  const seen = new Set<string>()
  const changed = text.replace(assignment, (line, before: string, name: string, old: string, after: string, end: string) => {
    if (!Object.hasOwn(values, name)) return line
    seen.add(name)
    const value = values[name] ?? null
    if (value === null) return before.startsWith('\uFEFF') ? '\uFEFF' : ''
    // What says the same already stays as it is written.
    return unquoted(old) === value ? line : `${before}${quoted(value, old.slice(0, 1))}${after}${end}`
  })
  const newline = /\r\n/.test(text) ? '\r\n' : '\n'
  const added = Object.entries(values).flatMap(([name, value]) =>
    value === null || seen.has(name) ? [] : [`${name}=${quoted(value, '')}${newline}`],
  )
  const gap = added.length > 0 && changed !== '' && !changed.endsWith('\n') ? newline : ''
  return changed + gap + added.join('')
}

function quoted(value: string, before: string): string {
  const kinds = [before in fits ? before : '', '', "'", '"']
  const quote = kinds.find((kind) => fits[kind]?.test(value)) ?? ''
  return `${quote}${value}${quote}`
}

function unquoted(value: string): string {
  const inner = value.slice(1, -1)
  if (/^'[\s\S]*'$/.test(value)) return inner
  if (/^"[\s\S]*"$/.test(value))
    return inner.replace(/\\([\s\S])/g, (_, escaped: string) => ({ n: '\n', r: '\r', t: '\t' })[escaped] ?? escaped)
  return value
}
