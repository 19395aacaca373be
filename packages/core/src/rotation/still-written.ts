import type { Field } from '../field/field.ts'
import type { Database } from './database.ts'
import type { FieldVerification } from './result.ts'
import type { DoneBatch } from './rewrite.ts'
import type { Progress } from './run.ts'
import { shownId } from './take-census.ts'

const shown = 5

/** What a pass found that is not current, by field, format and key: it says who still writes. Forgets each pass when the next one begins. */
export class StillWritten {
  #pass = 0
  #found = new Map<string, number>()
  /** Whether a pass after the first could change anything: else what it found was locked each time. */
  #rewrote = false

  note({ pass, passRotated }: Progress, { table, changes }: Pick<DoneBatch, 'table' | 'changes'>): void {
    if (pass !== this.#pass) {
      this.#pass = pass
      this.#found = new Map()
    }
    // The first pass rewrites what there was: it says nothing of who writes now.
    if (pass === 1) return
    if (passRotated > 0) this.#rewrote = true
    for (const { cells } of changes) {
      for (const { field: index, stored, keyId } of cells) {
        const field = table.fields[index] as Field
        const { codec, version, keyring } = field.identify(stored, keyId) ?? {}
        const under =
          version == null ? 'under a format that names no key' : `under key ${shownId(keyring ?? null, version.id)} (${codec?.name})`
        const what = `of field "${field.name}" ${under}`
        this.#found.set(what, (this.#found.get(what) ?? 0) + 1)
      }
    }
  }

  /** As a note for people, with who is connected; names and counts only. */
  async sentence(database: Database, verified: readonly FieldVerification[] = []): Promise<string> {
    const locked = !this.#rewrote && verified.length === 0
    return [
      locked ? kept : writing,
      ...found(this.#found, verified),
      ...(await connected(database)),
      locked ? 'Once they have ended, resume' : 'Restart it with the new key, then resume',
    ].join('. ')
  }
}

const writing = 'values keep appearing under an old key: an instance of the application still writes it'
const kept = 'values cannot be had: transactions of the application keep their rows locked, or change them all the time'

function found(found: ReadonlyMap<string, number>, verified: readonly FieldVerification[]): string[] {
  const inPass = [...found].map(([what, values]) => `${values} ${what}`)
  const inVerification = verified.flatMap(({ field, other }) => (other === 0 ? [] : [`${other} of field "${field}"`]))
  if (inPass.length > 0) return [`Found in the last pass: ${some(inPass)}`]
  return inVerification.length > 0 ? [`Found by the verification: ${some(inVerification)}`] : []
}

/** Who is connected besides us. A note is worth having without it. */
async function connected(database: Database): Promise<string[]> {
  const names = await database.sessionNames?.().catch(() => [])
  if (names === undefined || names.length === 0) return []
  return [
    `Also connected: ${some(names.map(({ name, sessions }) => `${name === '' ? 'without a name' : `"${name}"`} (${sessions} session${sessions === 1 ? '' : 's'})`))}`,
  ]
}

function some(parts: readonly string[]): string {
  return [...parts.slice(0, shown), ...(parts.length > shown ? [`and ${parts.length - shown} more`] : [])].join(', ')
}
