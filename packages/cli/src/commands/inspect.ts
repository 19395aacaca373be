import { fail } from '@keyturn/core'
import { type Call, print, say } from '../call.ts'
import { exit } from '../exit.ts'
import { formats } from '../formats.ts'
import { count } from '../screens/words.ts'

/** The longest value that is read: as long as a field of Postgres can hold in practice, and no endless stream. */
const MOST_BYTES = 64 * 1024 * 1024

/**
 * Says what one stored value is: its length, the formats it fits, the key it names. Needs no key, and never prints the value. It
 * is read from standard input, because arguments stand in the history of the shell.
 */
export default async function inspect(call: Call): Promise<number> {
  if (call.io.isTTY) say(call, 'Paste one value, then press Ctrl-D on a line of its own.')
  const value = (await text(call)).replace(/\r?\n$/, '')
  if (value === '') throw fail('ERR_USAGE', 'standard input is empty. Give one stored value: … | keyturn inspect')
  // psql prints bytea as \x and hexadecimal.
  const bytes = /^\\x(?:[0-9a-f]{2})+$/.test(value) ? Buffer.from(value.slice(2), 'hex') : null
  const stored = bytes ?? value
  const found = formats.flatMap(({ name, variants }) =>
    variants()
      .filter(([, codec]) => codec.matches(stored))
      .map(([declaration, codec]) => ({ format: name, declaration, keyId: codec.keyIdOf(stored) })),
  )
  const facts = { holds: bytes === null ? 'text' : 'bytes', length: stored.length, formats: found }
  print(
    call,
    facts,
    [`${bytes === null ? 'Text' : 'Bytes'} of ${count(stored.length, bytes === null ? 'character' : 'byte')}.`, ...lines(found)].join('\n'),
  )
  return found.length > 0 ? exit.done : exit.failed
}

function lines(found: readonly { readonly declaration: string; readonly keyId: string | null }[]): string[] {
  if (found.length === 0) return ['It fits no format that Keyturn knows. "keyturn formats" lists them.']
  return ['It fits:', ...found.map(({ declaration, keyId }) => `  --format ${declaration}${keyId === null ? '' : `  under key ${keyId}`}`)]
}

async function text({ io }: Call): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of io.stdin) {
    const bytes = Buffer.from(chunk as string)
    length += bytes.length
    if (length > MOST_BYTES) throw fail('ERR_USAGE', 'standard input is longer than any value. Give one stored value')
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
