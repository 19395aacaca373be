import { randomBytes } from 'node:crypto'
import type { Credential, Listed, Rotator } from '@keyturn/secrets'
import { z } from 'zod'

/** Keys that an issuer in this process has made, by their ids. */
export interface IssuedKey {
  readonly id: string
  readonly name: string | null
  readonly value: string
  enabled: boolean
  usedAt: number | null
}
export const issuers = new Map<string, Map<string, IssuedKey>>()
export function issuerOf(id: string): Map<string, IssuedKey> {
  const keys = issuers.get(id) ?? new Map<string, IssuedKey>()
  issuers.set(id, keys)
  return keys
}

/** Makes a key, as the issuer or somebody else does. */
export function issue(issuer: string, name: string | null): IssuedKey {
  const key = {
    id: `key-${randomBytes(6).toString('hex')}`,
    name,
    value: randomBytes(18).toString('base64url'),
    enabled: true,
    usedAt: null,
  }
  issuerOf(issuer).set(key.id, key)
  return key
}

export const options = z.strictObject({
  id: z.string(),
  /** Whether keys carry a name. */
  named: z.boolean().default(true),
  /** Whether a key can be disabled. */
  disables: z.boolean().default(false),
  /** Whose limits it is asked within, and at which address. */
  provider: z.string().optional(),
  endpoint: z.string().optional(),
})

/** An issuer in this process that chooses keys itself, for tests of the engine. */
export default function issuer({ id, named, disables, provider }: z.infer<typeof options>): Rotator {
  const keys = () => issuerOf(id)
  const find = ({ id: key, parts }: Credential) =>
    keys().get(key ?? [...keys().values()].find(({ value }) => value === parts.value)?.id ?? '')
  return {
    ...(provider !== undefined && { provider }),
    parts: { value: 'secret' },
    overlap: true,
    check: async () => [],
    list: async () =>
      [...keys().values()].map(
        ({ id: key, name, enabled, usedAt }): Listed => ({ id: key, name, createdAt: null, used: usedAt !== null, enabled }),
      ),
    create: async ({ attempt }) => {
      const made = issue(id, named ? `keyturn-${attempt}` : null)
      return { id: made.id, parts: { value: made.value } }
    },
    verify: async (_, credential) => {
      const found = find(credential)
      return found?.enabled === true
        ? { works: true, sentence: `the issuer lets ${found.id} in` }
        : { works: false, later: false, sentence: 'the issuer refuses it' }
    },
    lastUsed: async (_, credential) => find(credential)?.usedAt ?? null,
    ...(disables
      ? {
          disable: async (_, credential) => {
            const found = find(credential)
            if (found !== undefined) found.enabled = false
          },
          enable: async (_, credential) => {
            const found = find(credential)
            if (found !== undefined) found.enabled = true
          },
        }
      : {}),
    revoke: async (_, { id: key }) => {
      if (key !== null) keys().delete(key)
    },
    adopt: async (_, parts) => ({ id: [...keys().values()].find(({ value }) => value === parts.value)?.id ?? null, parts }),
  }
}
