import type { AuditEvent } from './audit/event.ts'
import type { Config } from './config/config.ts'
import { nearest } from './config/nearest.ts'
import type { KeyringWorld, OpenedKeyring } from './config/open-keyrings.ts'
import type { OpenedSigning } from './config/open-signing.ts'
import { fail } from './errors.ts'
import { auditOf } from './evidence.ts'
import { exportKeyring } from './export-keyring.ts'
import type { Field } from './field/field.ts'
import type { KeyWrapper } from './keyring/key-wrapper.ts'
import type {
  AuditLog,
  CensusOptions,
  DestroyOptions,
  ExportOptions,
  KeyringStatus,
  Keyturn,
  PlanOptions,
  RetireOptions,
  RotateOptions,
  Status,
  VerifyOptions,
} from './keyturn.ts'
import type { Census } from './rotation/census.ts'
import { type Evidence, recorded } from './rotation/certify.ts'
import { certifyCompleted } from './rotation/certify-completed.ts'
import { assertKeyIdsWhole } from './rotation/check-walk.ts'
import type { Database } from './rotation/database.ts'
import { countTokens, type HashedTokens, type HashTokensOptions, hashTokens, type TokenColumnOptions } from './rotation/hash-tokens.ts'
import { makePlan } from './rotation/make-plan.ts'
import type { Plan } from './rotation/plan.ts'
import { assertUnchanged } from './rotation/plan-facts.ts'
import { Reporter } from './rotation/report.ts'
import type { RotationResult, Verification } from './rotation/result.ts'
import type { Retirement } from './rotation/retirement.ts'
import { type Rotation, resume, rotate } from './rotation/rotate.ts'
import { type RotationState, type Run, start } from './rotation/run.ts'
import { stopRun } from './rotation/stop-run.ts'
import { takeCensus } from './rotation/take-census.ts'
import type { TokenCounts } from './rotation/token-column.ts'
import { verifyFields } from './rotation/verify.ts'
import { type Rotations, rotationsOf } from './rotations.ts'
import { type Sessions, sessionsOf } from './sessions.ts'
import type { SigningKeyring } from './signing/signing-keyring.ts'
import { assertCreatable, migrate } from './state/schema.ts'
import type { SqlState } from './state/sql.ts'
import { keyringStatuses, statusOf } from './status.ts'
import { destroyVersion, fencesGone, retireVersions, unretireVersion } from './version-ends.ts'

/** What an opened configuration holds. */
export interface Opening {
  readonly config: Config
  readonly state: SqlState
  readonly database: Database
  readonly keyrings: ReadonlyMap<string, OpenedKeyring>
  readonly fields: ReadonlyMap<string, Field>
  /** Those of the keyrings whose keys sign tokens. */
  readonly signing: ReadonlyMap<string, OpenedSigning>
  readonly world: KeyringWorld
  readonly leaseMs: number
  readonly evidence: Evidence
}

/** Runs whose values set aside a verification knows. */
const recentRuns = 100

/** Why a keyring cannot be wrapped under another root. */
const noRootKey = {
  stored: 'is not stored yet',
  environment: 'has keys from the environment, which have no root key',
  table: 'has its keys in a table of the application, which Keyturn only reads',
} as const

/** What a plan was made for. */
function optionsOf({ mode, options: { fields, appStopped, newVersion } }: Plan): PlanOptions {
  return { mode, appStopped, newVersion, ...(fields === null ? {} : { fields }) }
}

/** The one implementation of `Keyturn`, on Postgres and PGlite. */
export class OpenedKeyturn implements Keyturn {
  readonly #opening: Opening
  readonly rotations: Rotations

  constructor(opening: Opening) {
    this.#opening = opening
    this.rotations = rotationsOf(opening)
  }

  get config(): Config {
    return this.#opening.config
  }

  field(name: string): Field {
    const { fields } = this.#opening
    const field = fields.get(name)
    if (field === undefined) throw fail('ERR_UNKNOWN_NAME', 'field', name, nearest(name, [...fields.keys()]))
    return field
  }

  signing(name: string): SigningKeyring {
    const { signing } = this.#opening
    const { kind, stored } = this.#keyring(name)
    const found = signing.get(name)
    if (found === undefined) throw fail('ERR_USAGE', `keyring "${name}" encrypts. One that signs tokens has "sign" in the configuration`)
    // Opened for looking, before it was made.
    if (kind === 'stored' && stored === null) throw fail('ERR_KEYRING_NOT_FOUND', name)
    return found.signing
  }

  async plan(keyring: string, given: PlanOptions = {}): Promise<Plan> {
    const { plan: planned, ...options } = given
    if (planned === undefined) return await this.#plan(keyring, options)
    const plan = await this.#plan(keyring, { ...optionsOf(planned), ...options }, planned.salt)
    assertUnchanged(planned, plan)
    return plan
  }

  async #plan(keyring: string, options: PlanOptions, salt?: string): Promise<Plan> {
    this.#assertEncrypts(keyring)
    const { database, world } = this.#opening
    const { versions } = this.#rotation(keyring, options)
    const opened = this.#keyring(keyring)
    const stored = opened.kind === 'stored'
    const newVersion = stored && (options.newVersion ?? true)
    const hasState = await database.hasState()
    const createsState = (stored || options.mode !== 'transaction') && !hasState
    if (createsState) await assertCreatable(this.#opening.state)
    return await makePlan({
      keyring,
      database,
      fields: this.#fieldsOf(keyring, options.fields),
      options,
      newVersion,
      createsState,
      recorded: hasState || createsState,
      waitMs: newVersion ? 2 * (versions?.refreshMs ?? world.refreshMs) : 0,
      unmade: stored && opened.stored === null ? keyring : null,
      alsoUsedFor: opened.alsoUsedFor,
      signs: this.#opening.evidence.signer !== null,
      ...(salt === undefined ? {} : { salt }),
    })
  }

  async rotate(keyring: string, given: RotateOptions = {}): Promise<RotationResult> {
    this.#assertWritable()
    this.#assertEncrypts(keyring)
    const options = given.plan === undefined ? given : { ...optionsOf(given.plan), ...given }
    // Also our tables are not made where a plan does not hold any more.
    if (given.plan !== undefined) assertUnchanged(given.plan, await this.#plan(keyring, options, given.plan.salt))
    // A transaction rotation of keys from the environment leaves nothing of ours behind: it needs no state.
    if (options.mode !== 'transaction') await migrate(this.#opening.state)
    return await this.#recorded('rotation.start', `keyring/${keyring}`, () => rotate(this.#rotation(keyring, options)))
  }

  async resume(rotationId: string, options: RotateOptions = {}): Promise<RotationResult> {
    this.#assertWritable()
    const run = await this.#run(rotationId)
    for (const name of run.fields) if (!this.#opening.fields.has(name)) throw fail('ERR_RESUME_KEYS', rotationId)
    const rotation = this.#rotation(run.keyring, { ...options, fields: run.fields })
    return await this.#recorded('rotation.resume', `rotation/${rotationId}`, async () => {
      return (await certifyCompleted(rotation, run, this.#opening)) ?? (await resume(rotation, run))
    })
  }

  async pause(rotationId: string): Promise<RotationState> {
    return await this.#stop(rotationId, 'paused', 'rotation.pause')
  }

  async cancel(rotationId: string): Promise<RotationState> {
    return await this.#stop(rotationId, 'cancelled', 'rotation.cancel')
  }

  async #stop(rotationId: string, to: 'paused' | 'cancelled', action: string): Promise<RotationState> {
    this.#assertWritable()
    const run = await this.#run(rotationId)
    if (run.endedAt !== null) throw fail('ERR_ROTATION_STATE', rotationId, run.state, to)
    const { database, leaseMs } = this.#opening
    const event = this.#event(action, `rotation/${rotationId}`)
    return await this.#recorded(action, event.subject, () => stopRun(database.runs, rotationId, { to, event, leaseMs }))
  }

  async release(rotationId: string): Promise<readonly string[]> {
    this.#assertWritable()
    const event = this.#event('hold.release', `rotation/${rotationId}`)
    return await this.#recorded(event.action, event.subject, () => this.#opening.database.releaseHold(rotationId, event))
  }

  async verify(options: VerifyOptions = {}): Promise<Verification> {
    const { database } = this.#opening
    const chosen = this.#looked(options, 'verify')
    const reporter = new Reporter('', options)
    const { setAsideValues, aborted, ...verification } = await verifyFields({
      database,
      fields: chosen,
      signal: options.signal,
      throttle: options.throttle,
      known: await this.#known(),
      onRows: (done, total) => reporter.verified(done, start, total),
    })
    return { ...verification, fences: { missing: await fencesGone(this.#opening, chosen) } }
  }

  async retire(keyring: string, options: RetireOptions = {}): Promise<readonly Retirement[]> {
    this.#assertEncrypts(keyring)
    return await this.#ending('version.retire', keyring, (place) => retireVersions(place, options))
  }

  async destroy(keyring: string, versionId: string, options: DestroyOptions = {}): Promise<void> {
    await this.#ending('version.destroy', keyring, (place) => destroyVersion(place, versionId, options))
  }

  async unretire(keyring: string, versionId: string): Promise<void> {
    await this.#ending('version.unretire', keyring, (place) => unretireVersion(place, versionId))
  }

  async #ending<T>(action: string, keyring: string, work: (place: Parameters<typeof retireVersions>[0]) => Promise<T>): Promise<T> {
    this.#assertWritable()
    const place = { opening: this.#opening, rotation: this.#rotation(keyring, {}), opened: this.#keyring(keyring) }
    return await this.#recorded(action, `keyring/${keyring}`, () => work(place))
  }

  async census(options: CensusOptions = {}): Promise<Census> {
    const { database } = this.#opening
    const fields = this.#looked(options, 'count')
    const reporter = new Reporter('', options)
    const { signal, throttle } = options
    const onRows = (done: number, total: number) => reporter.counted(done, start, total)
    const census = await takeCensus({ database, fields, signal, throttle, onRows })
    if (census === null) throw fail('ERR_INTERRUPTED', 'the census')
    return census
  }

  #looked({ keyring, fields: names }: Pick<VerifyOptions, 'keyring' | 'fields'>, to: string): Field[] {
    const chosen = keyring === undefined ? this.#chosen([...this.#opening.fields.values()], names) : this.#fieldsOf(keyring, names)
    if (chosen.length === 0) throw fail('ERR_USAGE', `there is no field to ${to}. Declare fields, or name one with --field`)
    return chosen
  }

  status(keyring?: string): Promise<Status> {
    if (keyring !== undefined) this.#keyring(keyring)
    return statusOf(this.#opening, keyring)
  }

  async keyrings(keyring?: string): Promise<readonly KeyringStatus[]> {
    if (keyring !== undefined) this.#keyring(keyring)
    return await keyringStatuses(this.#opening, keyring)
  }

  async goBack(keyring: string, { from, to }: { readonly from: string; readonly to: string }) {
    this.#assertWritable()
    const stored = this.#rooted(keyring)
    const { runs } = this.#opening.database
    const running = await runs.unfinished(keyring)
    if (running !== null) throw fail('ERR_ROTATION_RUNNING', keyring, running.id, running.state, running.id)
    await this.#recorded('version.activate', `keyring/${keyring}`, () => stored.returnTo(to, from))
  }

  async missingFences(keyring: string) {
    const missing = await fencesGone(this.#opening, [...this.#opening.fields.values()])
    const known = this.#keyring(keyring).live.snapshot
    return missing.filter(({ keyId }) => known.get(keyId) !== undefined)
  }

  async opensUnder(keyring: string, root: KeyWrapper) {
    return await this.#rooted(keyring).opensUnder(root)
  }

  async rewrap(keyring: string, options: { readonly drop?: string; readonly under?: KeyWrapper } = {}) {
    this.#assertWritable()
    const stored = this.#rooted(keyring)
    return await this.#recorded('keyring.rewrap', `keyring/${keyring}`, () => stored.rewrap(options))
  }

  get audit(): AuditLog {
    return auditOf(this.#opening)
  }

  async countTokens(column: string, options: TokenColumnOptions = {}): Promise<TokenCounts> {
    return await countTokens(this.#opening, column, options)
  }

  async hashTokens(column: string, options: HashTokensOptions = {}): Promise<HashedTokens> {
    this.#assertWritable()
    return await hashTokens({ ...this.#opening, audit: this.audit }, column, options)
  }

  get sessions(): Sessions {
    const opening = this.#opening
    const { count, end } = sessionsOf(opening)
    return {
      count,
      end: async (options) => {
        this.#assertWritable()
        return await end(options)
      },
    }
  }

  async exportKeyring(keyring: string, options: ExportOptions) {
    this.#assertWritable()
    return await exportKeyring(this.#keyring(keyring), options, this.#opening.evidence)
  }

  async certificates() {
    const { database, evidence } = this.#opening
    return (await database.hasState()) ? await evidence.certificates.list() : []
  }

  async close(): Promise<void> {
    for (const { live } of this.#opening.keyrings.values()) live.close()
    // Counts that cannot be added any more are lost, as in a crash.
    for (const { close } of this.#opening.signing.values()) await close().catch(() => {})
  }

  #keyring(name: string): OpenedKeyring {
    const keyring = this.#opening.keyrings.get(name)
    if (keyring === undefined) throw fail('ERR_UNKNOWN_NAME', 'keyring', name, nearest(name, [...this.#opening.keyrings.keys()]))
    return keyring
  }

  #rooted(name: string) {
    const { stored, kind } = this.#keyring(name)
    if (stored === null) throw fail('ERR_USAGE', `keyring "${name}" ${noRootKey[kind]}`)
    return stored
  }

  #assertEncrypts(name: string): void {
    if (this.#opening.signing.has(name)) throw fail('ERR_USAGE', `keyring "${name}" signs tokens: see keyturn.signing("${name}")`)
  }

  #fieldsOf(keyring: string, names: readonly string[] | undefined): Field[] {
    this.#keyring(keyring)
    const all = [...this.#opening.fields.values()].filter((field) => field.keyring.name === keyring)
    return this.#chosen(all, names)
  }

  #chosen(all: readonly Field[], names: readonly string[] | undefined): Field[] {
    if (names === undefined) return [...all]
    return names.map((name) => {
      const field = all.find((candidate) => candidate.name === name)
      if (field === undefined)
        throw fail(
          'ERR_UNKNOWN_NAME',
          'field',
          name,
          nearest(
            name,
            all.map((candidate) => candidate.name),
          ),
        )
      return field
    })
  }

  #rotation(keyring: string, options: RotateOptions): Rotation {
    const { database, world, leaseMs } = this.#opening
    const { live, versions } = this.#keyring(keyring)
    const { evidence } = this.#opening
    const fields = this.#fieldsOf(keyring, options.fields)
    assertKeyIdsWhole(fields, [...this.#opening.fields.values()])
    return { database, keyring: live, versions, fields, options, actor: world.actor, leaseMs, evidence }
  }

  async #run(rotationId: string): Promise<Run> {
    const { database } = this.#opening
    const run = (await database.hasState()) ? await database.runs.get(rotationId) : null
    if (run === null) throw fail('ERR_UNKNOWN_NAME', 'rotation', rotationId, '')
    return run
  }

  /** What recent rotations set aside; of two lists that name a value the newer one counts. */
  async #known() {
    const { database } = this.#opening
    if (!(await database.hasState())) return []
    const known = []
    for (const { id } of (await database.runs.list(recentRuns)).reverse())
      known.push(...(await database.runs.setAside(id, Number.MAX_SAFE_INTEGER)).values)
    return known
  }

  /** Runs an action. One that fails is on record as well, in a transaction of its own. */
  async #recorded<T>(action: string, subject: string, work: () => Promise<T>): Promise<T> {
    return await recorded(this.#opening.evidence, { action, subject }, work)
  }

  #event(action: string, subject: string): AuditEvent {
    return { actor: this.#opening.world.actor, action, subject, data: {} }
  }

  #assertWritable(): void {
    if (this.#opening.world.readOnly) throw fail('ERR_USAGE', 'the configuration was opened for looking only')
  }
}
