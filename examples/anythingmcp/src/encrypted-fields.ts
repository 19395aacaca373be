import { type Config, defineConfig, env } from '@keyturn/core'

/** Every column that holds ciphertext of `ENCRYPTION_KEY`. A new one is a line here. */
export const encryptedColumns = [
  'connectors.auth_config',
  'connector_auth_cache.token',
  'connector_auth_cache.refresh_token',
  'mcp_api_keys.key',
] as const

export const keyring = 'credentials'

// What crypto.ts writes: base64 of IV (16 bytes), ciphertext and tag, under 32 characters taken as bytes.
const format = { codec: 'blob', order: 'iv.ct.tag', iv: 16 } as const
const keyRule = 'utf8'

/**
 * The columns and their keys, for Keyturn.
 *
 * @param active - the variable of the key that values shall be under
 * @param previous - the variable of the key that they may still be under
 */
export function encryptedFields(active: string, previous?: string): Config {
  const reads = previous === undefined ? [] : [{ ...format, key: env(previous), keyRule } as const]
  return defineConfig({
    keyrings: { [keyring]: { primary: env(active), keyRule } },
    fields: Object.fromEntries(encryptedColumns.map((column) => [column, { column, keyring, writes: format, reads }])),
  })
}
