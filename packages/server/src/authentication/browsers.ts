import type { Sql } from '@keyturn/core'
import { type Ground, time } from './ground.ts'
import { drawSecret, hashOf, isSecret } from './secret.ts'

/** How long a browser is known after it signed in last. */
export const knownDays = 180
const known = `interval '${knownDays} days'`
/** Of one user so many, the latest ones. */
const most = 10

/**
 * The hash of a browser's mark if that browser has signed in to this account before; else null. A mark lets nobody in: attempts of such a browser
 * are counted by themselves, so that attempts of strangers do not keep it out.
 */
export async function knownBrowser({ state, now }: Ground, mark: string, folded: string): Promise<string | null> {
  // Asked of everybody alike.
  const hash = hashOf(isSecret(mark) ? mark : '')
  const { rows } = await state.query(
    `SELECT 1 AS found FROM ${state.schema}.user_browser b JOIN ${state.schema}.user_account u ON u.id = b.user_id
     WHERE b.hash = decode($1::text, 'hex') AND u.folded = $2::text AND b.used_at > ${time('$3')} - ${known}`,
    [hash, folded, now()],
  )
  return rows.length === 0 ? null : hash
}

/** Knows the browser from now on, within the caller's transaction. @returns its mark, for a cookie of its own */
export async function markBrowser(sql: Sql, { state, now }: Ground, userId: string, former: string | null): Promise<string> {
  const mark = drawSecret()
  const { schema } = state
  if (former !== null) await sql.query(`DELETE FROM ${schema}.user_browser WHERE hash = decode($1::text, 'hex')`, [former])
  await sql.query(`INSERT INTO ${schema}.user_browser (hash, user_id, used_at) VALUES (decode($1::text, 'hex'), $2::text, ${time('$3')})`, [
    hashOf(mark),
    userId,
    now(),
  ])
  await sql.query(
    `DELETE FROM ${schema}.user_browser WHERE user_id = $1::text AND (used_at <= ${time('$2')} - ${known} OR hash NOT IN (
       SELECT hash FROM ${schema}.user_browser WHERE user_id = $1::text ORDER BY used_at DESC LIMIT ${most}))`,
    [userId, now()],
  )
  return mark
}

/** The password was changed: what was known is that of who had the old one. */
export async function forgetBrowsers(sql: Sql, schema: string, userId: string): Promise<void> {
  await sql.query(`DELETE FROM ${schema}.user_browser WHERE user_id = $1::text`, [userId])
}
