import type { Argument, Connection } from './client.ts'

/** Keys of one SCAN, a character for each byte because a key need not be text, and the cursor behind them: `0` at the end. */
export interface Page {
  readonly keys: readonly string[]
  readonly cursor: string
}

/** Asks for the keys of a pattern from a cursor on. @param count - about how many keys of all the server looks at */
export async function pageOf({ sendForBytes }: Connection, pattern: string, cursor: string, count: number): Promise<Page> {
  const [next, keys] = (await sendForBytes('SCAN', cursor, 'MATCH', pattern, 'COUNT', String(count))) as [Buffer, Buffer[]]
  return { keys: keys.map((key) => key.toString('latin1')), cursor: next.toString() }
}

/** A key as the server knows it. */
export const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1')

/** Whether a key is text of which each character is a byte. */
export const isPlain = (key: string): boolean => plain.test(key)
const plain = /^[\0-\x7f]*$/

/** A key as an argument: the clients send text in one piece, and every Buffer among it in pieces of its own. */
export const sent = (key: string): Argument => (isPlain(key) ? key : bytesOf(key))
