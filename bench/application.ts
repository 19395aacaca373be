import type { Pool } from 'pg'
import {
  type Config,
  defineConfig,
  env,
  type Field,
  type Keyturn,
  open,
  type ProgressReport,
  type RotateOptions,
  type RotationResult,
} from '../packages/core/src/index.ts'

/**
 * An application with one column of encrypted values of about 100 characters, opened as a user would open it.
 *
 * `source` holds the values as they were before; the rotation works on `app`, which is made from it afresh.
 */

/** The format of the values before their rotation; `document`: kt1 inside a jsonb document of 2 kB. */
export type Format = 'kt1' | 'hex-colon' | 'document'

/** Characters of a plaintext, so that a stored value has 100 in either format. */
const plaintextLength: Record<Format, number> = { kt1: 37, document: 37, 'hex-colon': 21 }
const keys = { BENCH_ROOT: '1f'.repeat(32), BENCH_OTHER_ROOT: '2e'.repeat(32), BENCH_OLD: '3d'.repeat(32) }
/** Short, so that little time goes by with waiting for readers; long enough that loading the keyring again is no work. */
const refreshMs = 500
const batchRows = 10_000

/** The environment of the application. */
export const environment = keys

/** The configuration. `root`: which of the two root keys wraps; the other one only unwraps. */
export function configOf(format: Format, root: 'BENCH_ROOT' | 'BENCH_OTHER_ROOT' = 'BENCH_ROOT'): Config {
  const other = root === 'BENCH_ROOT' ? 'BENCH_OTHER_ROOT' : 'BENCH_ROOT'
  return defineConfig({
    refreshMs,
    keyrings: { app: { root: [env(root), env(other)] }, old: { primary: env('BENCH_OLD') } },
    fields: {
      'app.token': {
        column: format === 'document' ? 'app.token:/auth/token' : 'app.token',
        keyring: 'app',
        ...(format !== 'hex-colon' ? {} : { reads: [{ codec: 'hex-colon', key: env('BENCH_OLD') }] }),
      },
      'old.token': { column: 'source.token', keyring: 'old', writes: 'hex-colon' },
    },
  })
}

/** Makes the tables, fills `source` with values of a format, and opens the configuration. */
export async function makeApplication(pool: Pool, format: Format, rows: number): Promise<Keyturn> {
  await pool.query('CREATE TABLE source (id bigint PRIMARY KEY, token text NOT NULL)')
  await pool.query(`CREATE TABLE app (id bigint PRIMARY KEY, token ${format === 'document' ? 'jsonb' : 'text'} NOT NULL)`)
  const keyturn = await open(configOf(format), { pool, env: keys })
  const field = keyturn.field(format === 'hex-colon' ? 'old.token' : 'app.token')
  for (let start = 0; start < rows; start += batchRows) {
    const ids = Array.from({ length: Math.min(batchRows, rows - start) }, (_, index) => start + index + 1)
    await field.keyring.reserve(ids.length)
    const tokens = ids.map((id) => field.encryptSync(plaintextOf(format, id)))
    await pool.query('INSERT INTO source SELECT * FROM unnest($1::text[]::bigint[], $2::text[])', [
      `{${ids.join(',')}}`,
      `{${tokens.join(',')}}`,
    ])
  }
  return keyturn
}

/** What row `id` holds. */
export function plaintextOf(format: Format, id: number): string {
  return `token ${id} `.padEnd(plaintextLength[format], 'x')
}

/** Makes `app` from the first rows of `source`: without dead rows, with statistics, and with a checkpoint behind it. */
export async function freshTable(pool: Pool, rows: number, format: Format = 'kt1'): Promise<void> {
  const [type, value] = format === 'document' ? ['jsonb', document] : ['text', 'token']
  await pool.query(`DROP TABLE IF EXISTS app; CREATE TABLE app (id bigint PRIMARY KEY, token ${type} NOT NULL)`)
  await pool.query(`INSERT INTO app SELECT id, ${value} FROM source ORDER BY id LIMIT $1`, [rows])
  await settle(pool)
}

/** A document of 2 kB around a value, of text that does not compress well. */
const document = `jsonb_build_object('name', 'connector ' || id, 'auth', jsonb_build_object('type', 'bearer', 'token', token), 'notes',
  (SELECT string_agg(md5(id || ' ' || n), '') FROM generate_series(1, 55) n))`

/** Vacuums and analyses `app`, and writes everything to disk, so that nothing is left over for what is measured next. */
export async function settle(pool: Pool): Promise<void> {
  await pool.query('VACUUM (ANALYZE) app')
  await pool.query('CHECKPOINT')
}

/** A rotation and how long its parts took. */
export interface TimedRotation {
  readonly result: RotationResult
  readonly wholeMs: number
  /** From the first batch to the end of the last pass. */
  readonly rewritingMs: number
  readonly verifyingMs: number
  /** Of this process, while it rewrote. */
  readonly rewritingCpuMs: number
  /** When rewriting began and when everything was over, in milliseconds since the epoch. */
  readonly from: number
  readonly to: number
}

/** Rotates the keyring `app` online. @param onPhase - told of each phase when it begins @throws Error unless every value is current then */
export async function timedRotation(
  keyturn: Keyturn,
  rows: number,
  options: RotateOptions = {},
  onPhase: (phase: Phase) => void = () => {},
): Promise<TimedRotation> {
  const began = performance.now()
  const phases = new Phases(onPhase)
  const result = await keyturn.rotate('app', { ...options, onProgress: ({ phase }) => phases.enter(phase) })
  const ended = performance.now()
  phases.enter(null)
  if (result.state !== 'completed' || result.rotated + result.skipped < rows) {
    throw new Error(`${result.rotated} of ${rows} values rotated, ${result.skipped} current; ${result.state}`)
  }
  return {
    result,
    wholeMs: ended - began,
    rewritingMs: phases.tookMs.rewriting,
    verifyingMs: phases.tookMs.verifying,
    rewritingCpuMs: phases.rewritingCpuMs,
    from: performance.timeOrigin + phases.rewritingFrom,
    to: performance.timeOrigin + ended,
  }
}

export type Phase = ProgressReport['phase']

/** Adds up the time of each phase. */
class Phases {
  readonly tookMs: Record<Phase, number> = { 'waiting-for-readers': 0, rewriting: 0, verifying: 0, counting: 0 }
  rewritingCpuMs = 0
  rewritingFrom = 0
  #phase: Phase | null = null
  #since = 0
  #cpu = process.cpuUsage()
  readonly #onPhase: (phase: Phase) => void

  constructor(onPhase: (phase: Phase) => void) {
    this.#onPhase = onPhase
  }

  enter(next: Phase | null): void {
    if (next === this.#phase) return
    const now = performance.now()
    if (this.#phase !== null) this.tookMs[this.#phase] += now - this.#since
    if (this.#phase === 'rewriting') this.rewritingCpuMs += cpuMsSince(this.#cpu)
    if (next === 'rewriting') this.rewritingFrom ||= now
    if (next !== null) this.#onPhase(next)
    this.#phase = next
    this.#since = now
    this.#cpu = process.cpuUsage()
  }
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** The field that is rotated. */
export function fieldOf(keyturn: Keyturn): Field {
  return keyturn.field('app.token')
}
