import { fail } from '../errors.ts'
import type { BoundValues } from '../field/definition.ts'
import type { Field } from '../field/field.ts'
import type { KeySource } from '../with-fresh-keys.ts'
import { flatRow, isReference, isSealed, type JobReference, type SealedPart, sealPart, storedOf } from './bullmq/part.ts'
import { type Queryable, readRow } from './bullmq/read-row.ts'
import { type JobRedis, type Resealed, resealJobs } from './bullmq/reseal.ts'

export type { JobReference, SealedPart } from './bullmq/part.ts'
export type { Queryable } from './bullmq/read-row.ts'
export type { JobRedis, Resealed } from './bullmq/reseal.ts'

/** Keeps secrets out of the data of jobs. */
export interface JobSecrets {
  /**
   * What a job carries in place of a secret: the name of its field and its row. The worker reads the secret from the database when it
   * uses it, so that Redis has nothing to leak and nothing to rotate, and a job that waits a week gets the secret of that day.
   *
   * @param row - columns that name one row, such as its key
   * @param at - inside a document with several values: the JSON pointer to the one
   * @throws `ERR_UNKNOWN_NAME`; `ERR_USAGE` for a row that JSON cannot name
   */
  reference(field: string, row: BoundValues, at?: string): JobReference
  /**
   * A secret that is in no table, sealed under a field, for a job that has to carry it. It stays under the key of this moment until
   * `reseal`: that key is needed for as long as the job may be read.
   *
   * @param bound - the bound columns of the field: it opens with these only
   */
  seal(field: string, plaintext: string | Uint8Array, bound?: BoundValues): Promise<SealedPart>
  /**
   * The secret, at the moment of use.
   *
   * @param part - what `reference` or `seal` gave, as the job has it
   * @param field - whose secret is expected. Who writes to Redis must not choose another one
   * @throws `ERR_USAGE` for anything else, and for another field
   * @throws `ERR_JOB_ROW` when the row is gone or has no value any more: the job has nothing to do
   * @throws as `Field.decrypt`
   */
  open(part: unknown, field: string): Promise<string>
  /**
   * Seals again what the jobs of a queue carry under an older key, whatever state they are in: waiting, delayed, failed, kept. Each is
   * replaced only where nobody changed it meanwhile. May be repeated, also after a crash. References need none of this.
   *
   * @param where - a client of ioredis or node-redis, the name of the queue, and its prefix (`bull` unless given)
   */
  reseal(where: { readonly client: JobRedis; readonly queue: string; readonly prefix?: string }): Promise<Resealed>
}

/**
 * Secrets of jobs, for BullMQ and every other queue whose jobs are JSON.
 *
 * @param keyturn - the opened configuration
 * @param db - where the rows of its fields stand: a `pg` Pool or a PGlite database
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * const jobs = bullmq(keyturn, pool)
 * jobs.reference('jira.token', { id: 42 }).row // { id: 42 }
 * const sealed = await jobs.seal('jira.token', 'secret', { id: 42 })
 * await jobs.open(sealed, 'jira.token') // 'secret'
 * await keyturn.close()
 */
export default function bullmq(keyturn: KeySource, db: Queryable): JobSecrets {
  const fieldOf = (name: string): Field => keyturn.field(name) as Field
  return {
    reference: (field, row, at) => {
      const { name, location } = fieldOf(field)
      if (at !== undefined && location.path === undefined) throw fail('ERR_USAGE', `field "${name}" is a whole column: leave out "at"`)
      return { keyturn: 'reference', field: name, row: flatRow(name, row), ...(at === undefined ? {} : { at }) }
    },
    seal: async (field, plaintext, bound = {}) => await sealPart(fieldOf(field), plaintext, flatRow(field, bound)),
    open: async (part, name) => {
      const field = fieldOf(name)
      if (!isReference(part) && !isSealed(part)) throw fail('ERR_USAGE', 'this part of a job is neither a reference nor sealed by Keyturn')
      if (part.field !== name) throw fail('ERR_USAGE', `field "${name}" is expected, and the job is about another one`)
      if (part.keyturn === 'reference') return await decrypt(field, await readRow(db, field, part))
      return await decrypt(field, { value: storedOf(part), keyId: part.keyId ?? null, bound: part.bound })
    },
    reseal: async ({ client, queue, prefix = 'bull' }) => await resealJobs(fieldOf, client, `${prefix}:${queue}:`),
  }
}

async function decrypt(field: Field, { value, keyId, bound }: Awaited<ReturnType<typeof readRow>>): Promise<string> {
  const given = field.bind.length === 0 ? undefined : bound
  return field.keyId === null ? await field.decrypt(value, given) : await field.decryptKeyed({ value, keyId }, given)
}
