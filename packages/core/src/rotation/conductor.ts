import type { AuditEvent } from '../audit/event.ts'
import { fail, isKeyturnError } from '../errors.ts'
import { certifyRotation } from './certify.ts'
import { rewriteExclusively } from './exclusive.ts'
import { type HeldLease, holdLease } from './lease.ts'
import { assertNotHeld, makesHold } from './make-plan.ts'
import { Pace } from './pace.ts'
import { quietAfter, settled, waitForReaders } from './readers.ts'
import { Reporter } from './report.ts'
import type { RotationResult } from './result.ts'
import { type Ending, type Quiet, rewrite } from './rewrite.ts'
import type { Rotation } from './rotate.ts'
import { type Completed, completionData, rotationFacts } from './rotation-facts.ts'
import type { Progress, RotationState, Run, SetAside } from './run.ts'
import { StillWritten } from './still-written.ts'
import { type Checked, failedValue, listed, verifyFields } from './verify.ts'
import { tableWalks } from './walks.ts'

/** Rounds of rewriting and verifying before the run waits for whoever still writes the old key. */
const rounds = 5

/** How long a transaction is waited for that was open when the old key ended. One that is left open must not stop a rotation for good. */
const defaultSettleMs = 60_000

/** An event of a rotation, to which its facts are added. */
export function eventOf({ actor }: Rotation, action: string, subject: string): Omit<AuditEvent, 'data'> {
  return { actor, action, subject }
}

/** Takes one run through its states: readers first, rewriting, verification. */
export class Conductor {
  readonly #rotation: Rotation
  readonly #run: Run
  readonly #recorded: boolean
  readonly #reporter: Reporter
  #state: RotationState
  #progress: Progress
  #held: HeldLease | null = null
  /** What is found again and again. */
  readonly #written = new StillWritten()
  /** Why it waits, beside what its state says. */
  #note: string | null = null
  /** Aborted by the caller, or by a request of another process. */
  #signal: AbortSignal | undefined
  /** When this process activated the version, by `performance.now`. */
  #activatedAtMs: number | null = null

  constructor(rotation: Rotation, run: Run, recorded: boolean) {
    this.#rotation = rotation
    this.#run = run
    this.#recorded = recorded
    this.#state = run.state
    this.#progress = run.progress
    this.#signal = rotation.options.signal
    this.#reporter = new Reporter(run.id, rotation.options)
  }

  async conduct(): Promise<RotationResult> {
    if (this.#recorded) await this.#hold()
    try {
      await this.#readAgain()
      // Somebody paused it before it began.
      if (this.#run.state === 'planned' && this.#state === 'paused') return await this.#end('paused', [])
      if (this.#state !== 'running') await this.#enter('running')
      return await this.#work()
    } catch (error) {
      await this.#stopAfter(error)
      throw error
    } finally {
      await this.#held?.release()
    }
  }

  async #hold(): Promise<void> {
    const { database, leaseMs, options } = this.#rotation
    this.#held = await holdLease(database.runs, this.#run.id, leaseMs)
    this.#signal = AbortSignal.any([this.#held.asked, ...(options.signal === undefined ? [] : [options.signal])])
  }

  /** Before the lease was had, another process may have worked, or have ended the run. */
  async #readAgain(): Promise<void> {
    if (this.#held === null) return
    const run = await this.#rotation.database.runs.get(this.#run.id)
    if (run === null || run.endedAt !== null) throw fail('ERR_ROTATION_STATE', this.#run.id, run?.state ?? 'removed', 'running')
    this.#state = run.state
    this.#progress = run.progress
  }

  /** What a run is that was stopped by its own process, or as another one asked. */
  async #stopped(): Promise<RotationState> {
    const { options, database } = this.#rotation
    if (this.#held === null || !options.handOver || !options.signal?.aborted)
      return this.#held?.requested() === 'cancel' ? 'cancelled' : 'paused'
    // Whoever asked for a pause at this moment must not be forgotten: the lease of the next process would end the request.
    const requested = (await database.runs.get(this.#run.id))?.requested ?? null
    return requested === null ? this.#state : requested === 'cancel' ? 'cancelled' : 'paused'
  }

  async #work(): Promise<RotationResult> {
    if (!(await this.#readersFirst())) return await this.#end(await this.#stopped(), [])
    for (let round = 1; ; round++) {
      const outcome = this.#run.mode === 'online' ? await this.#online(round) : await this.#transaction()
      if (outcome.ending === 'waiting') return await this.#wait(outcome.setAside)
      if (outcome.ending !== 'done') return await this.#end(endings[outcome.ending] ?? (await this.#stopped()), outcome.setAside)
      await this.#enter('verifying')
      const checked = await this.#verify(outcome.setAside)
      if (checked.aborted) return await this.#end(await this.#stopped(), checked.setAsideValues)
      if (checked.other === 0) return await this.#end('completed', checked.setAsideValues, checked)
      // Values appeared under an older key while nobody looked: another round finds them.
      if (round === rounds) return await this.#wait(checked.setAsideValues, checked.fields)
      await this.#enter('running')
      this.#progress = { ...this.#progress, pass: this.#progress.pass + 1, table: 0, after: null, passRotated: 0, passConflicts: 0 }
    }
  }

  /** A key encrypts only after its readers have had it. @returns false when it was stopped meanwhile */
  async #readersFirst(): Promise<boolean> {
    const { versions, keyring } = this.#rotation
    if (versions === null) return true
    await keyring.reload()
    const { snapshot } = keyring
    const version = snapshot.get(this.#run.versionId ?? '') ?? snapshot.active
    this.#reporter.enter('waiting-for-readers', this.#progress)
    if (!(await waitForReaders(versions, version, this.#signal))) return false
    this.#held?.assert()
    if (version.state === 'pending') {
      await versions.activate(version.id)
      this.#activatedAtMs = performance.now()
    }
    return true
  }

  async #online(round: number): Promise<{ ending: Ending | 'failed'; setAside: readonly SetAside[] }> {
    const { database, fields, options } = this.#rotation
    const held = this.#held as HeldLease
    const tables = await tableWalks(database, fields, true)
    await assertNotHeld(database, tables, this.#run.id)
    this.#reporter.expect(tables)
    const quiet = await this.#quiet()
    // Nothing but a whole reading says there whether anything is left, and the verification is one: the wait comes before the pass, not behind it.
    const verifiedNext = round === 1 && tables.every(({ walk }) => walk.store !== undefined)
    if (verifiedNext && this.#progress.table === 0 && this.#progress.after === null) {
      this.#reporter.enter('waiting-for-readers', this.#progress)
      await quiet.wait(this.#signal)
    }
    this.#reporter.enter('rewriting', this.#progress)
    const { ending, progress } = await rewrite(
      {
        database,
        tables,
        lease: held.lease,
        pace: new Pace(options.throttle),
        signal: this.#signal,
        assertLease: held.assert,
        quiet,
        verifiedNext,
        onBatch: (progress, batch) => {
          this.#reporter.batch(progress, batch)
          this.#written.note(progress, batch)
        },
      },
      this.#progress,
    )
    this.#progress = progress
    return { ending, setAside: await this.#known() }
  }

  /** Over once also every transaction has ended that was open then: it may still write what was encrypted before. */
  async #quiet(): Promise<Quiet> {
    const { database, keyring, versions, settleMs = defaultSettleMs } = this.#rotation
    const quiet = await quietAfter(versions, keyring, this.#activatedAtMs)
    const { fencing } = database
    if (versions === null || fencing === null) return quiet
    // A round before this one may have waited in vain already.
    let isSettled = this.#note !== null
    return {
      // Asked anew for each pass: a rotation that lasts longer than the wait has no pass more for it.
      over: async () => {
        if (!quiet.over()) return false
        isSettled ||= (await fencing.unsettled(await versions.now())) === null
        return isSettled
      },
      wait: async (signal) => {
        await quiet.wait(signal)
        if (isSettled || signal?.aborted) return
        const open = await settled(fencing, await versions.now(), { timeoutMs: settleMs, signal })
        isSettled = true
        if (open !== null)
          this.#note = `a transaction stayed open that may still write under the old key: ${open}. Once it has ended, verify`
      },
    }
  }

  async #transaction(): Promise<{ ending: Ending | 'failed'; setAside: readonly SetAside[] }> {
    const { database, keyring, versions, fields, options } = this.#rotation
    const tables = await tableWalks(database, fields, true)
    await assertNotHeld(database, tables, this.#run.id)
    this.#reporter.expect(tables)
    this.#reporter.enter('rewriting', this.#progress)
    const quiet = await quietAfter(versions, keyring, this.#activatedAtMs)
    await quiet.wait(this.#signal)
    const result = await rewriteExclusively({
      database,
      rotationId: this.#run.id,
      lease: this.#held?.lease ?? null,
      tables,
      from: this.#progress,
      setAside: options.setAside ?? false,
      hold: makesHold({ fields, options }),
      appStopped: options.appStopped ?? false,
      signal: this.#signal,
      onBatch: (progress, batch) => this.#reporter.batch(progress, batch),
    })
    if (result.committed) this.#progress = result.progress
    return { ending: result.stopped ? 'pause' : result.committed ? 'done' : 'failed', setAside: result.setAside }
  }

  async #verify(known: readonly SetAside[]): Promise<Checked> {
    const { database, fields, options } = this.#rotation
    this.#reporter.enter('verifying', this.#progress)
    const checked = await verifyFields({
      database,
      fields,
      // What a transaction has committed cannot be cancelled any more, and must not be called so: it is verified to its end.
      signal: this.#run.mode === 'transaction' ? options.signal : this.#signal,
      throttle: options.throttle ?? {},
      known,
      onRows: (done, total) => this.#reporter.verified(done, this.#progress, total),
    })
    this.#held?.assert()
    if (this.#held !== null && !checked.aborted) await database.runs.replaceSetAside(this.#held.lease, checked.setAsideValues)
    return checked
  }

  async #known(): Promise<readonly SetAside[]> {
    return (await this.#rotation.database.runs.setAside(this.#run.id, Number.MAX_SAFE_INTEGER)).values
  }

  async #wait(setAside: readonly SetAside[], fields?: Checked['fields']): Promise<RotationResult> {
    this.#note = await this.#written.sentence(this.#rotation.database, fields)
    return await this.#end('waiting', setAside)
  }

  async #enter(state: RotationState, data: AuditEvent['data'] = {}, note: string | null = null): Promise<void> {
    const from = this.#state
    this.#state = state
    if (this.#held === null || from === state) return
    const action = eventOf(this.#rotation, `rotation.${verbs[state]}`, `rotation/${this.#run.id}`)
    await this.#rotation.database.runs.change(this.#held.lease, state, note, { ...action, data })
  }

  async #end(state: RotationState, setAside: readonly SetAside[], checked?: Checked): Promise<RotationResult> {
    const { rotated, rows, conflicts } = this.#progress
    const failedCount = setAside.length
    const skipped = Math.max(0, (checked?.total ?? 0) - rotated - failedCount)
    const result: RotationResult = {
      id: this.#run.id,
      mode: this.#run.mode,
      state,
      total: rotated + skipped + failedCount,
      rotated,
      skipped,
      failed: setAside.slice(0, listed).map(failedValue),
      failedCount,
      conflicts,
      rows: Object.values(rows).reduce((sum, count) => sum + count, 0),
      tables: Object.keys(rows).length,
      certificate: null,
    }
    const { total } = result
    if (state !== 'completed' || checked === undefined) {
      await this.#enter(state, { total, rotated, skipped, failedCount, conflicts }, this.#note ?? notes[state] ?? null)
      return result
    }
    await this.#enter(state, completionData(result, checked.fields), this.#note)
    // From here on the run is over: a process that dies leaves it completed without a certificate, which `resume` makes.
    const run = { id: this.#run.id, mode: this.#run.mode, progress: this.#progress, createdAt: this.#run.createdAt, endedAt: null }
    return { ...result, certificate: await this.#certify({ run, result, after: checked.fields, setAside, source: 'run' }) }
  }

  async #certify(completed: Completed): Promise<RotationResult['certificate']> {
    const { evidence } = this.#rotation
    if (evidence === undefined) return null
    const facts = () => rotationFacts(this.#rotation, completed)
    return await certifyRotation(evidence, completed.run.id, { facts, recorded: this.#recorded })
  }

  /** An error leaves an online run paused, so that it can be resumed; a transaction has been rolled back and is over. */
  async #stopAfter(error: unknown): Promise<void> {
    if (this.#held === null || isKeyturnError(error, 'ERR_LEASE_LOST')) return
    const code = isKeyturnError(error) ? error.code : 'ERR_DATABASE'
    const state = this.#run.mode === 'online' ? 'paused' : 'failed'
    // The database may be what failed: then the run is found unfinished, without a lease, and can be resumed all the same.
    await this.#enter(state, { code }, `stopped by ${code}`).catch(() => {})
  }
}

/** Null: as it was stopped. */
const endings: Record<Exclude<Ending, 'done'> | 'failed', RotationState | null> = {
  pause: null,
  cancel: 'cancelled',
  waiting: 'waiting',
  failed: 'failed',
}

const verbs: Record<RotationState, string> = {
  planned: 'plan',
  running: 'run',
  paused: 'pause',
  waiting: 'wait',
  verifying: 'verify',
  completed: 'complete',
  cancelled: 'cancel',
  failed: 'fail',
}

const notes: Partial<Record<RotationState, string>> = {
  failed: 'values do not open: everything was rolled back',
}
