import { isUtf8 } from 'node:buffer'
import { DatabaseError, isKeyturnError, nearest } from '@keyturn/core'
import { z } from 'zod'
import { type FailureKind, outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Held, Store, Values } from '../secret/store.ts'
import { isKnown, isOfSameRun, knowing, readKnown, type Standing, settingName, writeKnown } from './field/last-known.ts'
import { canBeEmpty, faultOf } from './field/limits.ts'
import { type Cell, FieldRow, openCell, type Shape } from './field/row.ts'
import { replaced } from './field/sealed.ts'

const fieldName = z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, { error: 'expected the name of a field of the configuration' })

export const options = z.strictObject({
  /**
   * The field of the configuration that it is: its value is named `value`. Several of one table are written together, by names of your own:
   * `{ user: 'sources.user', password: 'sources.password' }`.
   */
  field: z.union([
    fieldName,
    z.record(z.string().min(1), fieldName).refine((fields) => Object.keys(fields).length > 0, { error: 'expected a field' }),
  ]),
  /** Which row it is, by columns: `{ id: '42' }`. Exactly one row must have these. */
  row: z
    .record(z.string().min(1), z.union([z.string(), z.number(), z.boolean()]))
    .refine((row) => Object.keys(row).length > 0, { error: 'expected the columns that tell the row: { id: "42" }' }),
})

/** How often a row that changes under us is read again in one call. */
const mostTries = 30

/**
 * A field of the application's own database, in one row: the credential of a connector, encrypted as the application encrypts it.
 * `{ store: 'field', field: 'connectors.api_key', row: { id: '42' }, values: { value: '{value}' } }`.
 *
 * - A write compares with what was read, the value and the columns that it is bound to, and is done again where a rotation of the keyring came in between. No
 *   plain value is in a statement.
 * - What somebody else writes there during a run is not overwritten: the run stops and says so. What they wrote before it is, and `plan` warns of it.
 * - A value that does not open is never overwritten. Where a name is taken away, the column becomes NULL, or empty where the field keeps the empty text.
 * - Text, bytes, JSON: the document must be there, and have one value at the place. Fields in Redis cannot be stores.
 *
 * It is the application's business that a process that has read the value reads it again: have a target for it.
 */
export default function field({ field: given, row: key }: z.infer<typeof options>, world: World): Store {
  const names: { readonly [name: string]: string } = typeof given === 'string' ? { value: given } : given
  const named = [...new Set(Object.values(names))].map((name) => `"${name}"`).join(', ')
  const where = `${named.includes(',') ? 'fields' : 'field'} ${named}, in the row by ${Object.keys(key).join(' and ')}`
  const refused = (why: string) => outside('refused', where, why)

  const open = () => {
    const { keyturn, state } = world.application()
    const fields = new Map(Object.entries(names).map(([name, each]) => [name, keyturn.field(each)] as const))
    const fault = faultOf(fields, keyturn)
    const setting = settingName([Object.entries(names).toSorted(), Object.entries(key).toSorted()])
    return { state, fields, fault, setting, row: new FieldRow(state, fields, key) }
  }

  /** What the row holds. @throws a refusal where it is not one row, or something in it is no value */
  const look = async (row: FieldRow, shape: Shape) => {
    const found = await row.read(shape)
    if (!('row' in found)) throw refused(found.rows === 0 ? 'there is no such row' : 'more than one row is named so')
    const standing: Record<string, string | null> = {}
    for (const cell of found.row.cells) standing[cell.name] = await textOf(cell)
    return { row: found.row, standing: standing as Standing }
  }

  const textOf = async (cell: Cell): Promise<string | null> => {
    const { field: each, standing } = cell
    if (standing.is === 'fault') throw refused(standing.sentence)
    if (standing.is === 'nothing') return null
    const { stored } = standing
    if (each.isKept(stored)) return stored.length === 0 ? null : Buffer.from(stored).toString('utf8')
    const plaintext = await openCell(cell, stored).catch((error: unknown) => {
      if (!isKeyturnError(error)) throw error
      const { code } = error
      // A key that is not known here may only not be known yet.
      if (isKeyturnError(error, 'ERR_KEY_NOT_LOADED', 'ERR_KEY_NOT_FOUND'))
        throw outside('busy', where, `its key is not known here (${code})`)
      throw refused(`what stands there does not open (${code}), and is not overwritten. Repair it, or empty it`)
    })
    if (!isUtf8(plaintext)) throw refused('what stands there is no text')
    return Buffer.from(plaintext).toString('utf8')
  }

  const write = async (call: Call, values: Values): Promise<void> => {
    const { state, fault, setting, row } = open()
    const shape = await row.shape()
    const wrong = fault ?? shape.problem
    if (wrong !== null) throw refused(wrong)
    const last = await readKnown(state, setting)
    let known = last !== null && isOfSameRun(call.attempt, last) ? last : null
    for (let tries = 0; tries < mostTries; tries++) {
      call.signal.throwIfAborted()
      const { row: before, standing } = await look(row, shape)
      const wanted: Standing = { ...standing, ...values }
      const isThere = Object.entries(wanted).every(([name, value]) => standing[name] === value)
      const isEmpty = Object.values(standing).every((value) => value === null)
      if (!isThere && !isEmpty && known !== null && !(await isKnown(standing, known)))
        throw refused(
          'somebody has written there since this run looked. It is not overwritten: put back what stood there, or empty it, then resume the run',
        )
      // On record before anything is written: a repetition of this attempt knows by it what it may replace.
      if (known?.attempt !== call.attempt || isThere) {
        known = await knowing(standing, call.attempt, known)
        await writeKnown(state, state.schema, setting, known)
      }
      if (isThere) return
      const to = await replaced(before, { wanted, standing, shape, refused })
      const after = await knowing(wanted, call.attempt, known)
      if (await row.swap(shape, before, to, (sql) => writeKnown(sql, state.schema, setting, after))) return
    }
    throw outside('busy', where, `it changed ${mostTries} times while it was to be written`)
  }

  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (error instanceof DatabaseError) throw outside(failureOf(error), where, `the database said ${error.detail}`)
      if (isKeyturnError(error, 'ERR_KEYRING_STALE', 'ERR_KEY_NOT_LOADED'))
        throw outside('busy', where, `its keyring is not up to date (${error.code})`)
      throw error
    }
  }

  return {
    check: (_, asked) =>
      findings(() =>
        guarded(async () => {
          const odd = asked.find((name) => !Object.hasOwn(names, name))
          if (odd !== undefined)
            return [
              fault(`no field is named for "${odd}"${nearest(odd, Object.keys(names))}: the values are ${Object.keys(names).join(', ')}`),
            ]
          const { state, fields, fault: wrong, setting, row } = open()
          const shape = wrong === null ? await row.shape() : null
          const problem = wrong ?? shape?.problem ?? null
          if (problem !== null || shape === null) return [fault(`${where}: ${problem}`)]
          const { standing } = await look(row, shape)
          const last = await readKnown(state, setting)
          const isOther = last !== null && !(await isKnown(standing, last))
          return [
            ...(isOther ? [warning(`${where}: somebody has written there since Keyturn did. A rotation replaces it`)] : []),
            ...[...fields].flatMap(([name, each]) =>
              fields.size === 1 || canBeEmpty(each, shape)
                ? []
                : [warning(`${where}: "${name}" cannot be taken away again, because its column takes no NULL and its field no empty text`)],
            ),
          ]
        }),
      ),

    look: (_, asked) =>
      guarded(async () => {
        const { fault: wrong, row } = open()
        const shape = await row.shape()
        const problem = wrong ?? shape.problem
        if (problem !== null) throw refused(problem)
        const { standing } = await look(row, shape)
        return Object.fromEntries(
          asked.map((name): [string, Held] => [name, standing[name] == null ? null : { value: standing[name] as string }]),
        )
      }),

    write: async (call, values) => {
      await guarded(async () => {
        try {
          await write(call, values)
        } catch (error) {
          // A fence: the key was retired, and this process had not heard of it.
          if (!(error instanceof DatabaseError && error.detail === '23514')) throw error
          for (const each of open().fields.values()) await each.keyring.reload()
          await write(call, values)
        }
      })
      return { version: null }
    },
  }
}

const fault = (sentence: string): Finding => ({ severity: 'fault', sentence })
const warning = (sentence: string): Finding => ({ severity: 'warning', sentence })

/** A statement that was cancelled, a hold of a rotation in one transaction, a lock: nothing was written, and later it may be. */
const later = /^(57014|KT001)$/
const kinds: Record<DatabaseError['kind'], FailureKind> = {
  contention: 'busy',
  connection: 'uncertain',
  'unknown-commit': 'uncertain',
  data: 'refused',
  other: 'refused',
}
const failureOf = ({ kind, detail }: DatabaseError): FailureKind => (later.test(detail) ? 'busy' : kinds[kind])
