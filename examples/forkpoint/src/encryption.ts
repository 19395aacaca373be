import {
  type Config,
  defineConfig,
  env,
  isKeyturnError,
  type Keyturn,
  type ProgressReport,
  type RotateOptions,
  type RotationResult,
} from '@keyturn/core'

/** Every column that holds ciphertext. A new one is a line here. */
const encryptedColumns = [
  'jira_configs.encryptedToken',
  'github_configs.encryptedToken',
  'slack_configs.encryptedToken',
  'webhooks.encryptedSecret',
] as const

const keyring = 'integrations'
const format = { codec: 'hex-colon', order: 'iv.tag.ct', iv: 12 } as const

/**
 * The columns and their keys. What is saved is encrypted with `ENCRYPTION_MASTER_KEY`; while that is not set, with `JWT_SECRET`.
 *
 * @param fallback - whether `JWT_SECRET` still decrypts; false once nothing needs it any more
 */
export function encryption(fallback: boolean): Config {
  return defineConfig({
    keyrings: {
      [keyring]: {
        primary: env('ENCRYPTION_MASTER_KEY'),
        previous: [env('ENCRYPTION_MASTER_KEY_PREVIOUS')],
        ...(fallback ? { fallback: env('JWT_SECRET') } : {}),
        keyRule: 'passphrase',
      },
    },
    fields: Object.fromEntries(encryptedColumns.map((column) => [column, { column, keyring, writes: format }])),
  })
}

/** What an operator wants to know before a key is taken out of the environment. */
export interface EncryptionStatus {
  readonly total: number
  /** Values that are not under the key that encrypts now. */
  readonly remaining: number
  /** Values that none of the keys here opens. */
  readonly unreadable: number
  /** The keys of this instance, the one that encrypts first, by where each comes from, and how many values need it. */
  readonly keys: readonly { readonly source: string; readonly encrypts: boolean; readonly values: number }[]
  readonly fields: readonly { readonly field: string; readonly total: number; readonly remaining: number; readonly unreadable: number }[]
}

/** Opens every value, and counts exactly. */
export async function encryptionStatus(keyturn: Keyturn): Promise<EncryptionStatus> {
  const { keyrings } = await keyturn.status(keyring)
  const census = await keyturn.census({ keyring })
  const groups = census.fields.flatMap((field) => field.groups)
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0)
  const fields = census.fields.map(({ field, total, groups, unreadable }) => ({
    field,
    total,
    remaining: sum(groups.filter(({ current }) => !current).map(({ values }) => values)),
    unreadable,
  }))
  return {
    total: sum(fields.map(({ total }) => total)),
    remaining: sum(fields.map(({ remaining }) => remaining)),
    unreadable: sum(fields.map(({ unreadable }) => unreadable)),
    keys: (keyrings[0]?.versions ?? [])
      .toSorted((a, b) => b.number - a.number)
      .map(({ id, state }) => ({
        source: id,
        encrypts: state === 'active',
        values: sum(groups.filter(({ keyId }) => keyId === id).map(({ values }) => values)),
      })),
    fields,
  }
}

export interface RewrapOptions {
  /** Stops it after the batch that is being written; the next call goes on. */
  readonly signal: AbortSignal
  readonly rowsPerSecond?: number | undefined
  readonly onProgress: (report: ProgressReport) => void
}

/**
 * Encrypts every value again that is not under the key that encrypts now, while all instances read and write. One that does not open is
 * left as it is and listed. Goes on with a run that was stopped or whose process died.
 */
export async function rewrap(keyturn: Keyturn, { signal, rowsPerSecond, onProgress }: RewrapOptions): Promise<RotationResult> {
  const throttle = { share: 1, ...(rowsPerSecond === undefined ? {} : { rowsPerSecond }) }
  const options: RotateOptions = { accept: true, signal, throttle, onProgress }
  const over = ['completed', 'cancelled', 'failed']
  const unfinished = (await keyturn.status(keyring)).rotations.find(({ state }) => !over.includes(state))
  if (unfinished === undefined) return await keyturn.rotate(keyring, options)
  try {
    return await keyturn.resume(unfinished.id, options)
  } catch (error) {
    // It was begun with other keys, which are no longer those of this instance: what it has done stays.
    if (!isKeyturnError(error, 'ERR_RESUME_KEYS')) throw error
    await keyturn.cancel(unfinished.id)
    return await keyturn.rotate(keyring, options)
  }
}
