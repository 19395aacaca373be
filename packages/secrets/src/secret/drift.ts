import { createHash } from 'node:crypto'
import type { Call } from './call.ts'
import type { Credential } from './credential.ts'
import type { OpenedSecret } from './opened-secret.ts'
import type { Held } from './store.ts'
import { referencesIn, render } from './template.ts'
import { isNewer, readTruth, type Truth } from './truth.ts'

/**
 * A name in a store beside what should stand there, by digests of 8 digits: no value is shown. Where a secret has a source of truth, what
 * should stand in its other stores is what stands there.
 */
export interface Drift {
  readonly secret: string
  readonly store: string
  readonly name: string
  /**
   * `same`; `differs`; `missing`: nothing stands there; `extra`: something stands there that should not. Of the source of truth `new`: another
   * credential than the one in use, which is taken over; `empty`: nothing stands there, and nothing is done.
   */
  readonly state: 'same' | 'differs' | 'missing' | 'extra' | 'new' | 'empty'
  readonly found: string | null
  readonly expected: string | null
}

const short = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 8)

/**
 * Compares each store with the credential in use, or with the one that the source of truth holds. Reads only.
 *
 * @param inUse - null where none is known
 */
export async function driftOf(secret: OpenedSecret, inUse: Credential | null, call: Call): Promise<Drift[]> {
  const truth = await readTruth(secret, call)
  const drifts: Drift[] = truth === null ? [] : driftOfTruth(secret.name, truth, inUse)
  const current = truth !== null && isNewer(truth, inUse) ? { id: null, parts: truth.parts } : inUse
  if (current === null) return drifts
  for (const { name: store, store: part, templates, truth: isTruth } of secret.stores) {
    if (isTruth) continue
    const values = render(templates, { current, previous: null, next: null })
    // A part that a rotator completes is not known before it was asked: what stands there is written anew.
    const isKnown = (name: string) =>
      referencesIn(templates[name] ?? '').every(({ slot, part }) => slot !== 'current' || Object.hasOwn(current.parts, part))
    const held = await part.look(call, Object.keys(values))
    for (const [name, rendered] of Object.entries(values)) {
      const found = held[name] ?? null
      const expected = isKnown(name) ? rendered : null
      drifts.push({
        secret: secret.name,
        store,
        name,
        state: !isKnown(name) ? 'differs' : await compared(found, expected, async (value) => (await part.digest?.(call, value)) ?? null),
        found: found === null ? null : short('value' in found ? found.value : found.digest),
        expected: expected === null ? null : short(expected),
      })
    }
  }
  return drifts
}

/** The source of truth beside the credential in use. What is not complete there is not compared. */
function driftOfTruth(secret: string, truth: Truth, inUse: Credential | null): Drift[] {
  const { store, parts, names, empty } = truth
  const newer = isNewer(truth, inUse)
  return [...names].map(([part, name]): Drift => {
    const [found, expected] = [parts[part] ?? null, inUse?.parts[part] ?? null]
    return {
      secret,
      store: store.name,
      name,
      state: empty.includes(name) ? 'empty' : newer && found !== expected ? 'new' : 'same',
      found: found === null ? null : short(found),
      expected: expected === null ? null : short(expected),
    }
  })
}

async function compared(found: Held, expected: string | null, digest: (value: string) => Promise<string | null>): Promise<Drift['state']> {
  if (found === null) return expected === null ? 'same' : 'missing'
  if (expected === null) return 'extra'
  if ('value' in found) return found.value === expected ? 'same' : 'differs'
  return found.digest === (await digest(expected)) ? 'same' : 'differs'
}
