import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { SqlState } from '@keyturn/core'
import { attemptOf } from '../../run/step-world.ts'

/** What stands in a row, by the names of the store. */
export type Standing = { readonly [name: string]: string | null }

/**
 * What an attempt knew of a row the last time that it looked or wrote: kept in the state, in the transaction of each write, so that a repetition of the
 * attempt can tell its own work from somebody's edit. Nothing of the values is in it but a salted scrypt of all of them together.
 */
export interface LastKnown {
  readonly attempt: string
  /** The attempt of the promotion, from which those of going back and of withdrawing are made. */
  readonly base: string
  readonly salt: string
  readonly digest: string
}

const hash = promisify(scrypt) as (password: string, salt: Buffer, length: number) => Promise<Buffer>
const digestOf = async (standing: Standing, salt: string): Promise<Buffer> =>
  await hash(JSON.stringify(Object.entries(standing).toSorted()), Buffer.from(salt, 'hex'), 32)

/** @param known - of the same rotation, if there is one */
export async function knowing(standing: Standing, attempt: string, known: LastKnown | null): Promise<LastKnown> {
  const salt = randomBytes(16).toString('hex')
  const base = known === null || attemptOf(attempt, 'announce') === known.attempt ? attempt : known.base
  return { attempt, base, salt, digest: (await digestOf(standing, salt)).toString('hex') }
}

export async function isKnown(standing: Standing, { salt, digest }: LastKnown): Promise<boolean> {
  return timingSafeEqual(await digestOf(standing, salt), Buffer.from(digest, 'hex'))
}

/** Whether an attempt is the one that is known, or another deployment of its rotation. */
export const isOfSameRun = (attempt: string, { attempt: last, base }: LastKnown): boolean =>
  attempt === last ||
  attempt === base ||
  attemptOf(attempt, 'announce') === last ||
  [attemptOf(base, 'withdraw'), attemptOf(base, 'back')].includes(attempt)

/** @param place - what tells this row and these fields from all others */
export const settingName = (place: readonly unknown[]): string =>
  `secrets.field/${createHash('sha256').update(JSON.stringify(place)).digest('hex')}`

export async function readKnown({ schema, query }: SqlState, name: string): Promise<LastKnown | null> {
  const { rows } = await query(`SELECT encode(value, 'hex') AS value FROM ${schema}.setting WHERE name = $1::text`, [name])
  return rows[0] === undefined ? null : (JSON.parse(Buffer.from(String(rows[0].value), 'hex').toString('utf8')) as LastKnown)
}

export async function writeKnown(sql: Pick<SqlState, 'query'>, schema: string, name: string, known: LastKnown): Promise<void> {
  await sql.query(
    `INSERT INTO ${schema}.setting (name, value) VALUES ($1::text, decode($2::text, 'hex')) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    [name, Buffer.from(JSON.stringify(known)).toString('hex')],
  )
}
