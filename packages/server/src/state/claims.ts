import type { SqlState } from '@keyturn/core'

/** After this time an automatic rotation that came to nothing is tried again. */
const tryAgain = `interval '1 hour'`

/**
 * Claims the automatic rotation that replaces a key version, for one server.
 *
 * @returns false where another has claimed it
 */
export async function claimRotation({ query, schema }: SqlState, keyring: string, versionId: string): Promise<boolean> {
  const { rows } = await query(
    `INSERT INTO ${schema}.automatic_rotation (keyring, version_id, at) VALUES ($1::text, $2::text, clock_timestamp())
     ON CONFLICT (keyring, version_id) DO UPDATE SET at = excluded.at
       WHERE automatic_rotation.at < clock_timestamp() - ${tryAgain} RETURNING keyring`,
    [keyring, versionId],
  )
  return rows.length === 1
}
