/** A member of an object, by its places in the text. */
interface Member {
  readonly name: string
  readonly start: number
  readonly valueStart: number
  readonly valueEnd: number
  /** Behind its comma; null where none follows. */
  readonly commaEnd: number | null
}
interface ObjectSpan {
  readonly start: number
  readonly members: readonly Member[]
}
type Found =
  | { readonly object: ObjectSpan; readonly index: number }
  /** Nothing stands there: `rest` is what is missing in the object. */
  | { readonly object: ObjectSpan; readonly rest: readonly string[] }

/** JSON that cannot be read, or a place in it that is none. The message says where, never what stands there. */
export class JsonTextError extends Error {}

/** `/a/b` is a JSON Pointer; everything else is a member of the document itself. */
export function pathOf(name: string): readonly string[] {
  if (!name.startsWith('/')) return [name]
  return name
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The text that stands at a place: a string's value, other values as JSON; null for nothing and for `null`. */
export function jsonValue(text: string, name: string): string | null {
  const member = memberAt(find(text, pathOf(name)))
  if (member === null) return null
  const value: unknown = JSON.parse(text.slice(member.valueStart, member.valueEnd))
  return value === null ? null : typeof value === 'string' ? value : JSON.stringify(value)
}

/** The text with a value at a place, null taking the member away. Comments, order, numbers and white space of the rest stay. */
export function withJsonValue(text: string, name: string, value: string | null): string {
  const found = find(text, pathOf(name))
  const member = memberAt(found)
  if (member !== null && 'index' in found) return value === null ? without(text, found) : put(text, member, value)
  return value === null || !('rest' in found) ? text : added(text, found, value)
}

const memberAt = (found: Found): Member | null => ('index' in found ? (found.object.members[found.index] ?? null) : null)

function put(text: string, { valueStart, valueEnd }: Member, value: string): string {
  if (/[{[]/.test(text.charAt(valueStart))) throw new JsonTextError('a document stands where a value should')
  return `${text.slice(0, valueStart)}${JSON.stringify(value)}${text.slice(valueEnd)}`
}

function without(text: string, { object: { members }, index }: { readonly object: ObjectSpan; readonly index: number }): string {
  const member = members[index]
  if (member === undefined) return text
  // With its line, where it has one of its own.
  const before = text.slice(0, member.start).replace(/(\r?\n)?[ \t]*$/, '')
  const previous = members[index - 1]
  if (member.commaEnd !== null) return before + text.slice(member.commaEnd)
  const rest = text.slice(member.valueEnd)
  // The last one: the comma before it goes, too.
  return previous?.commaEnd ? before.slice(0, previous.commaEnd - 1) + before.slice(previous.commaEnd) + rest : before + rest
}

function added(text: string, { object, rest }: { readonly object: ObjectSpan; readonly rest: readonly string[] }, value: string): string {
  const [name = '', ...deeper] = rest
  const content = deeper.reduceRight<unknown>((inner, step) => ({ [step]: inner }), value)
  const entry = `${JSON.stringify(name)}: ${JSON.stringify(content)}`
  const last = object.members.at(-1)
  if (last !== undefined) {
    const gap = /(\r?\n[ \t]*)$/.exec(text.slice(0, last.start))?.[1] ?? ' '
    return `${text.slice(0, last.valueEnd)},${gap}${entry}${text.slice(last.valueEnd)}`
  }
  const newline = /\r\n/.test(text) ? '\r\n' : '\n'
  const indent = /(?:^|\n)([ \t]*)[^\n]*$/.exec(text.slice(0, object.start))?.[1] ?? ''
  const inside = text.slice(object.start + 1).replace(/^\s*(?=\})/, `${newline}${indent}`)
  return `${text.slice(0, object.start + 1)}${newline}${indent}  ${entry}${inside}`
}

function find(text: string, path: readonly string[]): Found {
  let at = skip(text, 0)
  for (const [depth, step] of path.entries()) {
    if (text.charAt(at) !== '{') throw new JsonTextError('there is no object where one should be')
    const object = objectAt(text, at)
    // Of a name that is there twice, every reader takes the last one.
    const index = object.members.findLastIndex(({ name }) => name === step)
    const member = object.members[index]
    if (member === undefined) return { object, rest: path.slice(depth) }
    if (depth === path.length - 1) return { object, index }
    at = member.valueStart
  }
  throw new JsonTextError('there is no name')
}

function objectAt(text: string, start: number): ObjectSpan {
  const members: Member[] = []
  for (let at = skip(text, start + 1); text.charAt(at) !== '}'; at = skip(text, at)) {
    if (text.charAt(at) !== '"') throw new JsonTextError(`it cannot be read from character ${at} on`)
    const nameEnd = valueEnd(text, at)
    const colon = skip(text, nameEnd)
    if (text.charAt(colon) !== ':') throw new JsonTextError(`it cannot be read from character ${colon} on`)
    const valueStart = skip(text, colon + 1)
    const end = valueEnd(text, valueStart)
    const next = skip(text, end)
    const hasComma = text.charAt(next) === ','
    if (!hasComma && text.charAt(next) !== '}') throw new JsonTextError(`it cannot be read from character ${next} on`)
    members.push({ name: JSON.parse(text.slice(at, nameEnd)), start: at, valueStart, valueEnd: end, commaEnd: hasComma ? next + 1 : null })
    at = hasComma ? next + 1 : next
  }
  return { start, members }
}

// White space, and comments of both kinds, which configuration files have.
const blank = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y
const scalar = /"(?:\\.|[^"\\\n])*"|-?\d[\d.eE+-]*|true|false|null/y

function skip(text: string, at: number): number {
  blank.lastIndex = at
  return at + (blank.exec(text)?.[0].length ?? 0)
}

function valueEnd(text: string, start: number): number {
  scalar.lastIndex = start
  const found = scalar.exec(text)?.[0].length
  if (found !== undefined) return start + found
  let depth = 0
  for (let at = start; at < text.length; ) {
    const sign = text.charAt(at)
    if (sign === '{' || sign === '[') depth++
    if (sign === '}' || sign === ']') depth--
    if (depth === 0) {
      if (at === start) break
      return at + 1
    }
    // Signs inside of texts and comments do not count.
    const next = skip(text, at + 1)
    at = text.charAt(next) === '"' ? valueEnd(text, next) : next
    at = text.charAt(at) === '"' ? at : skip(text, at)
  }
  throw new JsonTextError(`it cannot be read from character ${start} on`)
}
