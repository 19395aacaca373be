import { fail } from '../errors.ts'
import type { Field } from '../field/field.ts'
import type { ProgressReport, RunOptions } from '../keyturn.ts'
import type { RotationResult } from './result.ts'
import { type Rotation, resume, rotate } from './rotate.ts'
import type { Run, SetAside } from './run.ts'
import { stopRun } from './stop-run.ts'

/** A run that made everything current and verified. */
export interface LastPass {
  readonly rotationId: string
  /** Everything that it could not rewrite. */
  readonly setAside: readonly SetAside[]
}
interface Passing {
  readonly rotation: Rotation
  readonly options: RunOptions
  readonly fields: readonly Field[]
}

/**
 * Makes every value of some fields current without a new key version, and opens each. The fields may be of other keyrings, too: their
 * values become current under their own.
 *
 * A run whose process died is finished first. A pass that does not come to its end is cancelled: nothing is lost by that, and the
 * next call begins anew.
 *
 * @throws `ERR_ROTATION_RUNNING` while a rotation is unfinished that is paused, waits, or has yet to activate its version; `ERR_LEASE_HELD`
 *   while another process runs one; `ERR_INTERRUPTED`; `ERR_ROTATION_STATE` when values keep appearing under an older key
 */
export async function lastPass(passing: Passing, fields: readonly Field[]): Promise<LastPass> {
  const { rotation, options } = passing
  const { runs } = rotation.database
  const died = await runs.unfinished(rotation.keyring.name)
  if (died !== null) await finish(passing, died)
  const { signal, onProgress, throttle } = options
  const own = { id: null as string | null }
  const report = (progress: ProgressReport) => {
    own.id = progress.rotationId
    onProgress?.(progress)
  }
  const given = { ...(signal && { signal }), ...(throttle && { throttle }), onProgress: report }
  try {
    // What does not open is counted afterwards, by key: the share of a sample says nothing about it.
    const result = await rotate({ ...rotation, fields, options: { ...given, newVersion: false, accept: true } })
    assertCompleted(passing, result)
    return { rotationId: result.id, setAside: (await runs.setAside(result.id, Number.MAX_SAFE_INTEGER)).values }
  } catch (error) {
    if (own.id !== null) await abandon(rotation, own.id).catch(() => {})
    throw error
  }
}

function assertCompleted({ rotation, options }: Passing, { id, state }: RotationResult): void {
  if (options.signal?.aborted) throw fail('ERR_INTERRUPTED', `retiring versions of keyring "${rotation.keyring.name}"`)
  if (state !== 'completed') throw fail('ERR_ROTATION_STATE', id, state, 'the last pass of a retirement')
}

async function finish(passing: Passing, run: Run): Promise<void> {
  const { rotation, fields, options } = passing
  const { keyring } = rotation
  const mayFinish = run.mode === 'online' && run.requested === null && run.versionId === keyring.snapshot.active.id
  const names = fields.map(({ name }) => name)
  if (!mayFinish || !['planned', 'running', 'verifying'].includes(run.state) || !run.fields.every((name) => names.includes(name)))
    throw fail('ERR_ROTATION_RUNNING', keyring.name, run.id, run.state, run.id)
  const chosen = run.fields.map((name) => fields.find((field) => field.name === name) as Field)
  const given = { ...(options.signal && { signal: options.signal }), accept: true }
  assertCompleted(passing, await resume({ ...rotation, fields: chosen, options: given }, run))
}

/** Ends a pass of ours that did not come to its end. @throws where the database is gone; then it is found like one whose process died */
async function abandon({ database, actor, leaseMs }: Rotation, id: string): Promise<void> {
  const run = await database.runs.get(id)
  if (run === null || run.endedAt !== null) return
  const event = { actor, action: 'rotation.cancel', subject: `rotation/${id}`, data: {} }
  await stopRun(database.runs, id, { to: 'cancelled', event, leaseMs })
}
