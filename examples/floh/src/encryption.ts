import { defineConfig, env, type Keyturn } from '@keyturn/core'

/** What the keys of all sessions in Redis begin with. */
export const sessionPrefix = 'floh:session:'

/**
 * The places of ciphertext and their keys. Connectors, runs and triggers share one key: which members of their documents are secret, the schema
 * of each says, and a rotation takes every value that it finds in them.
 *
 * @param sealsSessions - false in development without `SESSION_ENCRYPTION_KEY`: then sessions are plain JSON
 */
export function encryption(sealsSessions: boolean) {
  const inDocument = { keyring: 'connectors', only: 'encrypted', bind: ['id'] } as const
  const config = defineConfig({
    keyrings: {
      connectors: {
        primary: env('CONNECTOR_ENCRYPTION_KEY'),
        previous: [env('CONNECTOR_ENCRYPTION_KEY_PREVIOUS')],
        keyRule: 'hex',
        development: [env('SESSION_SECRET'), env('JWT_SECRET')],
      },
      sessions: { primary: env('SESSION_ENCRYPTION_KEY'), previous: [env('SESSION_ENCRYPTION_KEY_PREVIOUS')], keyRule: 'hex' },
      // Not an encryption key: it signs the bearers of the API.
      tokens: { primary: env('JWT_SECRET'), sign: 'HS256', tokens: { lifetime: '1h' } },
    },
    fields: {
      'connector.config': { column: 'connector_definition.connector_config:/**', ...inDocument },
      'run.variables': { column: 'workflow_run.variables:/**', ...inDocument },
      'trigger.variables': { column: 'scheduled_trigger.variables:/**', ...inDocument },
      'session.tokens': { column: `redis:${sessionPrefix}*:/tokens/*`, keyring: 'sessions', bind: ['key'] },
    },
  })
  if (sealsSessions) return config
  const { sessions: _, ...keyrings } = config.keyrings
  const { 'session.tokens': __, ...fields } = config.fields
  return { keyrings, fields } as unknown as typeof config
}

/** The opened configuration, with the names of its fields and what they are bound to. */
export type Encryption = Keyturn<ReturnType<typeof encryption>>

/** What an operator wants to know before a key is taken out of the environment. */
export interface KeyringUse {
  readonly keyring: string
  /** The keys of this instance, the one that encrypts first, by where each comes from, and how many values need it. */
  readonly keys: readonly { readonly source: string; readonly encrypts: boolean; readonly values: number; readonly knownToAll: boolean }[]
  /** Values that none of the keys here opens. */
  readonly unreadable: number
  /** What is wrong with keys that are accepted all the same. */
  readonly findings: readonly string[]
}

/** Opens every value, and counts exactly. */
export async function encryptionStatus(keyturn: Keyturn): Promise<KeyringUse[]> {
  const { keyrings } = await keyturn.status()
  const used: KeyringUse[] = []
  for (const { name, versions, findings, signing } of keyrings) {
    if (signing !== null) continue
    const { fields } = await keyturn.census({ keyring: name, throttle: { share: 1 } })
    const groups = fields.flatMap((field) => field.groups)
    const keys = versions
      .toSorted((a, b) => b.number - a.number)
      .map(({ id, state }) => {
        const own = groups.filter(({ keyId }) => keyId === id)
        return {
          source: id,
          encrypts: state === 'active',
          values: sum(own.map(({ values }) => values)),
          knownToAll: own.some((group) => group.knownToAll),
        }
      })
    used.push({ keyring: name, keys, unreadable: sum(fields.map(({ unreadable }) => unreadable)), findings })
  }
  return used
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
