import { fail } from '../errors.ts'
import { type Algorithm, isSymmetric } from '../signing/algorithm.ts'
import { tokenTimes } from '../signing/token-times.ts'
import type { Config, KeyringConfig } from './config.ts'

const defaultRefreshMs = 5_000

/**
 * Checks the keyrings that sign tokens, and that no field encrypts with one.
 *
 * @throws `ERR_CONFIG`
 */
export function checkSigning({ keyrings, fields, refreshMs = defaultRefreshMs }: Config): void {
  for (const [name, keyring] of Object.entries(keyrings)) checkKeyring(`keyrings.${name}`, keyring, refreshMs)
  const signs = (name: string | undefined) => name !== undefined && Object.hasOwn(keyrings, name) && signOf(keyrings[name]) !== undefined
  for (const [name, field] of Object.entries(fields)) {
    const paths: [string, string | undefined][] = (field.reads ?? []).map((read, index) => [
      `fields.${name}.reads[${index}].keyring`,
      typeof read === 'string' ? undefined : read.keyring,
    ])
    const wrong = [[`fields.${name}.keyring`, field.keyring] as const, ...paths].find(([, used]) => signs(used))
    if (wrong !== undefined) throw fail('ERR_CONFIG', wrong[0], `keyring "${wrong[1]}" signs tokens. A field needs a keyring that encrypts`)
  }
}

/** The algorithm of a keyring that signs tokens; undefined for one that encrypts. */
export const signOf = (keyring: KeyringConfig | undefined): Algorithm | undefined =>
  keyring !== undefined && 'sign' in keyring ? keyring.sign : undefined

function checkKeyring(path: string, keyring: KeyringConfig, refreshMs: number): void {
  const sign = signOf(keyring)
  const tokens = 'tokens' in keyring ? keyring.tokens : undefined
  const first = 'first' in keyring ? keyring.first : undefined
  if (sign === undefined) {
    const given = tokens === undefined ? (first === undefined ? null : 'first') : 'tokens'
    if (given !== null) throw fail('ERR_CONFIG', `${path}.${given}`, 'it belongs to keys that sign: the property "sign" is missing')
    return
  }
  if (first?.keyRule !== undefined && !isSymmetric(sign))
    throw fail('ERR_CONFIG', `${path}.first.keyRule`, `a key for ${sign} is read from PEM or a JWK. Leave it out`)
  if ('automatic' in keyring && keyring.automatic)
    throw fail('ERR_CONFIG', `${path}.automatic`, 'a key that signs is rotated by somebody who knows its verifiers. Leave it out')
  if ('messages' in keyring && keyring.messages !== undefined)
    throw fail('ERR_CONFIG', `${path}.messages`, 'a key that signs bears any number of tokens. Leave it out')
  if ('development' in keyring && keyring.development !== undefined && sign !== 'HS256')
    throw fail('ERR_CONFIG', `${path}.development`, `a development key has 32 bytes, and ${sign} needs more`)
  const { lifetimeMs, offlineMs } = tokenTimes(tokens ?? {}, sign, refreshMs)
  if (lifetimeMs <= 0)
    throw fail('ERR_CONFIG', `${path}.tokens`, 'skew and cache take up the 24 hours of the grace period. State the lifetime of tokens')
  if ('root' in keyring && offlineMs < 2 * refreshMs)
    throw fail('ERR_CONFIG', `${path}.tokens.offline`, `it must be at least twice the refresh interval, ${2 * refreshMs} ms`)
}
