import { actingAs, type Config, defineConfig, env, type Keyturn, open, type RootConfig } from '@keyturn/core'
import type { Pool } from 'pg'
import type { KeySettings } from './settings.ts'

/** The keyring of the data keys (DEKs). */
export const keyringName = 'secrets'
/** The field of `secrets.value`. */
export const fieldName = 'server.secret'
/** The format that the host has always had. It names no key: `secrets.keyId` does. */
const blob = { codec: 'blob', order: 'iv.tag.ct' } as const
const quickly = { throttle: { share: 1 } } as const

/**
 * The places of ciphertext and their keys. The root key (KEK) wraps data keys, in memory or in KMS; values are under data keys.
 *
 * Two older forms are read as well, and the first rotation moves them: values under keys of the table `encryption_keys`, and values
 * without a key id, which are under the KEK itself. Both need `SECRETS_ENCRYPTION_KEY`.
 */
export function encryption({ kms, kek, previousKek, refreshMs, certified }: KeySettings): Config {
  const [name, previousName] = ['SECRETS_ENCRYPTION_KEY', 'SECRETS_ENCRYPTION_KEY_PREVIOUS']
  const [key, previous] = [env(name), [env(previousName)]]
  const inKms: RootConfig = { wrapper: 'aws-kms', keyId: env('KMS_KEY_ID') }
  const local = (variable: string): RootConfig => ({ wrapper: 'local', key: env(variable), encoding: 'hex', label: variable })
  // The first one wraps, and all unwrap: with several, keys move from one root to another.
  const roots = [...(kms ? [inKms] : []), ...(kek ? [local(name)] : []), ...(previousKek ? [local(previousName)] : [])]
  const columns = { id: 'version', wrapped: 'wrappedDek', createdAt: 'createdAt' }
  return defineConfig({
    refreshMs,
    ...(certified && { signing: { key: env('CERTIFICATE_KEY') } }),
    keyrings: {
      [keyringName]: { root: roots, period: '90d' },
      ...(kek && { older: { table: 'encryption_keys', columns, wrapped: blob, key, previous } }),
    },
    fields: {
      [fieldName]: {
        column: 'secrets.value',
        keyId: 'keyId',
        keyring: keyringName,
        writes: blob,
        ...(kek && {
          reads: [
            { ...blob, keyring: 'older' },
            { ...blob, key, previous },
          ],
        }),
      },
    },
  })
}

/** Where the values stand, and by whom it was done. */
export interface EncryptionStatus {
  readonly activeVersion: number | null
  /** The newest first. */
  readonly keys: readonly {
    readonly version: number
    readonly state: string
    readonly rotatedBy: string | null
    readonly createdAt: string | null
    readonly retiredAt: string | null
  }[]
  readonly secrets: number
  /** Values in an older form, which the next rotation moves. */
  readonly legacy: number
  /** Whether a rotation is on its way. */
  readonly rotating: boolean
}

/** The keys of this process, and what it does with them. */
export interface Encryption {
  readonly keyturn: Keyturn
  /** @returns what stands in `secrets.value` and in `secrets.keyId` */
  encryptSecret(text: string): Promise<{ readonly value: string; readonly keyId: string }>
  /** @param keyId - of the same row; null for the form from before there were data keys */
  decryptSecret(value: string, keyId: string | null): Promise<string>
  /** A fresh key, every secret under it in one transaction, the old key retired: what `POST /v1/admin/encryption/rotate` does. */
  rotateKeys(actor: string): Promise<{ readonly newVersion: number | null; readonly reEncrypted: number }>
  encryptionStatus(): Promise<EncryptionStatus>
}

/** What a process opens its keys with. */
export interface Opening {
  readonly keys: KeySettings
  readonly pool: Pool
  /** Told of each warning, a sentence without secrets. */
  readonly warn: (sentence: string) => void
  /** Where the keys are read from; `process.env` unless given. */
  readonly env?: NodeJS.ProcessEnv
}

/**
 * Loads the keys, and makes version 1 where there is none, once however many processes start together.
 *
 * @throws rather than have a process serve without its keys
 */
export async function ensureActiveKey({ keys, ...opening }: Opening): Promise<Encryption> {
  const keyturn: Keyturn = await open(encryption(keys), { ...opening, actor: 'mcp-host' })
  const field = keyturn.field(fieldName)
  const versions = async () => (await keyturn.status(keyringName)).keyrings[0]?.versions ?? []
  const activeVersion = async () => (await versions()).find(({ state }) => state === 'active')?.number ?? null
  return {
    keyturn,
    encryptSecret: async (text) => {
      const { value, keyId } = await field.encryptKeyed(text)
      return { value: String(value), keyId }
    },
    decryptSecret: (value, keyId) => field.decryptKeyed({ value, keyId }),
    rotateKeys: (actor) =>
      actingAs(actor, async () => {
        const { rotated: reEncrypted } = await keyturn.rotate(keyringName, { mode: 'transaction', ...quickly })
        const data = { newVersion: await activeVersion(), reEncrypted }
        await keyturn.audit.record({ actor, action: 'admin.encryption.rotate', subject: `keyring/${keyringName}`, data })
        await keyturn.retire(keyringName, quickly)
        return data
      }),
    encryptionStatus: async () => {
      const known = await versions()
      const ids = new Set(known.map(({ id }) => id))
      const { rotations } = await keyturn.status(keyringName)
      const { fields } = await keyturn.census({ keyring: keyringName, ...quickly })
      const groups = fields.flatMap((field) => field.groups)
      return {
        activeVersion: known.find(({ state }) => state === 'active')?.number ?? null,
        keys: known
          .toSorted((a, b) => b.number - a.number)
          .map(({ number, state, activatedBy, createdAt, retiredAt }) => ({
            version: number,
            state,
            rotatedBy: activatedBy,
            createdAt,
            retiredAt,
          })),
        secrets: sum(groups),
        legacy: sum(groups.filter(({ keyId }) => keyId === null || !ids.has(keyId))),
        rotating: rotations.some(({ state }) => ['planned', 'running', 'verifying'].includes(state)),
      }
    },
  }
}

const sum = (groups: readonly { readonly values: number }[]) => groups.reduce((total, { values }) => total + values, 0)
