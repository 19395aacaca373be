import type { SqlState } from '@keyturn/core'

/** An answer, as it was given. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: string
}
/** What a key stands for. */
export interface IdempotentRequest {
  readonly actor: string
  readonly key: string
  /** A digest of method, path and body. */
  readonly fingerprint: string
}

const kept = `interval '24 hours'`
/** A request that has no answer after this time had a server that died: it may be sent again. */
const abandoned = `interval '2 minutes'`

/**
 * Takes a key for a request.
 *
 * @returns `taken`: it is the first one; `other`: the key was sent with another request; `running`: the first one has no answer yet;
 *   else the answer that the first one was given
 */
export async function takeKey(
  { transaction, schema }: SqlState,
  { actor, key, fingerprint }: IdempotentRequest,
): Promise<'taken' | 'other' | 'running' | KeptAnswer> {
  return await transaction(async (sql) => {
    await sql.query(
      `DELETE FROM ${schema}.idempotency WHERE at < clock_timestamp() - ${kept} OR (answer IS NULL AND at < clock_timestamp() - ${abandoned})`,
    )
    const { rows: made } = await sql.query(
      `INSERT INTO ${schema}.idempotency (actor, key, fingerprint, at) VALUES ($1::text, $2::text, $3::text, clock_timestamp())
       ON CONFLICT (actor, key) DO NOTHING RETURNING key`,
      [actor, key, fingerprint],
    )
    if (made.length === 1) return 'taken'
    const { rows } = await sql.query(`SELECT fingerprint, answer FROM ${schema}.idempotency WHERE actor = $1::text AND key = $2::text`, [
      actor,
      key,
    ])
    const [row] = rows
    if (row === undefined || row.fingerprint !== fingerprint) return 'other'
    return typeof row.answer === 'string' ? (JSON.parse(row.answer) as KeptAnswer) : 'running'
  })
}

/** Keeps the answer that a key is to be given again. */
export async function keepAnswer({ query, schema }: SqlState, { actor, key }: IdempotentRequest, answer: KeptAnswer): Promise<void> {
  await query(`UPDATE ${schema}.idempotency SET answer = $3::text WHERE actor = $1::text AND key = $2::text`, [
    actor,
    key,
    JSON.stringify(answer),
  ])
}

/** Gives a key back, so that the request can be sent again. */
export async function dropKey({ query, schema }: SqlState, { actor, key }: IdempotentRequest): Promise<void> {
  await query(`DELETE FROM ${schema}.idempotency WHERE actor = $1::text AND key = $2::text AND answer IS NULL`, [actor, key])
}
