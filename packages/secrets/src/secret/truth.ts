import { fail } from '@keyturn/core'
import type { Call } from './call.ts'
import type { Credential, Parts } from './credential.ts'
import type { OpenedSecret, OpenedStore } from './opened-secret.ts'

/** A template that is one part and nothing else, so that the part can be read back. */
const whole = /^\{(?:current\.)?([A-Za-z][A-Za-z0-9]*)\}$/

/** The store that is the source of truth; null where a secret has none. */
export const truthOf = ({ stores }: Pick<OpenedSecret, 'stores'>): OpenedStore | null => stores.find(({ truth }) => truth) ?? null

/** Under which name of the source of truth each part stands. */
const namesOf = ({ templates }: OpenedStore): Map<string, string> =>
  new Map(
    Object.entries(templates).flatMap(([name, template]) => {
      const part = whole.exec(template)?.[1]
      return part === undefined ? [] : [[part, name] as const]
    }),
  )

/** @throws `ERR_CONFIG` for a second one, and for one from which no credential could be read */
export function checkTruth({ stores, rotator, name }: OpenedSecret): void {
  const [truth, second] = stores.filter((store) => store.truth)
  if (second !== undefined) throw fail('ERR_CONFIG', `${second.place}.truth`, 'another store is the source of truth already')
  if (truth === undefined) {
    if (rotator.kept)
      throw fail('ERR_CONFIG', `secrets.${name}.stores`, 'none is the source of truth, from which the credential is taken: "truth": true')
    return
  }
  const names = namesOf(truth)
  const missing = Object.entries(rotator.parts).find(([part, kind]) => kind === 'secret' && !names.has(part))?.[0]
  // A part that the rotator completes, such as the verifier of a password, need not stand there.
  if (missing !== undefined && (names.size === 0 || rotator.adopt === undefined))
    throw fail(
      'ERR_CONFIG',
      `${truth.place}.values`,
      `a source of truth has each part under a name of its own: none is "{${missing}}" alone`,
    )
}

/** What stands in the source of truth. */
export interface Truth {
  readonly store: OpenedStore
  /** By their parts, where each of them stands there. */
  readonly parts: Parts
  /** Under which name of the store each part is. */
  readonly names: ReadonlyMap<string, string>
  /** Names under which nothing stands, or nothing but blanks. */
  readonly empty: readonly string[]
}

/** Reads the source of truth; null where the secret has none. @throws `ERR_CONFIG` for a store that gives no values, and what its calls throw */
export async function readTruth(secret: Pick<OpenedSecret, 'stores'>, call: Call): Promise<Truth | null> {
  const store = truthOf(secret)
  if (store === null) return null
  const names = namesOf(store)
  const held = await store.store.look(call, [...names.values()])
  const parts: Record<string, string> = {}
  const empty: string[] = []
  for (const [part, name] of names) {
    const found = held[name] ?? null
    if (found !== null && !('value' in found))
      throw fail('ERR_CONFIG', `${store.place}.truth`, 'this store tells no values, so that it cannot be the source of truth')
    if (found === null || found.value.trim() === '') empty.push(name)
    else parts[part] = found.value
  }
  return { store, parts, names, empty }
}

/** Whether the source of truth holds another credential than the one in use. What is not complete there says nothing. */
export const isNewer = ({ parts, empty }: Truth, current: Credential | null): boolean =>
  empty.length === 0 && Object.entries(parts).some(([part, value]) => current?.parts[part] !== value)

/** What is wrong with a value that somebody wrote, in words without it; null for nothing. PEM and JSON have line breaks, and nothing else may. */
export function faultIn({ parts, names }: Truth): string | null {
  const odd = Object.entries(parts).find(
    ([, value]) => !/^(-----BEGIN |\{)/.test(value) && (value !== value.trim() || /\p{Cc}/u.test(value)),
  )
  if (odd === undefined) return null
  return `what stands under "${names.get(odd[0])}" has a line break, another control character, or a blank at its end. Write it anew`
}
