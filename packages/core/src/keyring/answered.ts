import { setTimeout as sleep } from 'node:timers/promises'
import { fail } from '../errors.ts'

/**
 * An answer of a store, waited for no longer than this. Whoever holds the last connection of a pool in a transaction, and encrypts in it, would else
 * wait for a connection that only its own end gives back.
 *
 * @param doing - what the message says that the answer is for
 * @throws `ERR_DATABASE` when there is none in time; one that comes later is let go
 */
export async function answered<T>(answer: Promise<T>, patienceMs: number, doing: string): Promise<T> {
  const waiting = new AbortController()
  const late = sleep(patienceMs, null, { signal: waiting.signal }).then(() => {
    throw fail('ERR_DATABASE', 'no answer', doing)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    waiting.abort()
    for (const other of [answer, late]) other.catch(() => {})
  }
}
