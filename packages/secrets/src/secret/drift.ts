import { createHash } from 'node:crypto'
import type { Call } from './call.ts'
import type { Credential } from './credential.ts'
import type { OpenedSecret } from './opened-secret.ts'
import type { Held } from './store.ts'
import { render } from './template.ts'

/** A name in a store beside what should stand there, by digests of 8 digits: no value is shown. */
export interface Drift {
  readonly secret: string
  readonly store: string
  readonly name: string
  /** `same`; `differs`; `missing`: nothing stands there; `extra`: something stands there that should not. */
  readonly state: 'same' | 'differs' | 'missing' | 'extra'
  readonly found: string | null
  readonly expected: string | null
}

const short = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 8)

/** Compares each store with the credential in use. Reads only. */
export async function driftOf(secret: OpenedSecret, current: Credential, call: Call): Promise<Drift[]> {
  const drifts: Drift[] = []
  for (const { name: store, store: part, templates } of secret.stores) {
    const values = render(templates, { current, previous: null, next: null })
    const held = await part.look(call, Object.keys(values))
    for (const [name, expected] of Object.entries(values)) {
      const found = held[name] ?? null
      drifts.push({
        secret: secret.name,
        store,
        name,
        state: await compared(found, expected, async (value) => (await part.digest?.(call, value)) ?? null),
        found: found === null ? null : short('value' in found ? found.value : found.digest),
        expected: expected === null ? null : short(expected),
      })
    }
  }
  return drifts
}

async function compared(found: Held, expected: string | null, digest: (value: string) => Promise<string | null>): Promise<Drift['state']> {
  if (found === null) return expected === null ? 'same' : 'missing'
  if (expected === null) return 'extra'
  if ('value' in found) return found.value === expected ? 'same' : 'differs'
  return found.digest === (await digest(expected)) ? 'same' : 'differs'
}
