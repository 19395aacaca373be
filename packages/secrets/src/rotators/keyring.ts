import type { Field, RotateOptions, RotationResult } from '@keyturn/core'
import { z } from 'zod'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Call, Finding, Verdict, World } from '../secret/call.ts'
import type { Credential } from '../secret/credential.ts'
import type { Rotator } from '../secret/rotator.ts'
import { asked, canary, fieldsUnder, namelessPlaces, stretch, unfinishedOf, type Version, versionsOf } from './keyring/ring.ts'

export const options = z.strictObject({
  /** A stored keyring of this configuration, whose keys encrypt. */
  keyring: z.string().min(1).max(128),
  /** Whether the old version is retired: the database refuses it from then on, and checks every row. It is unless this is false. */
  retire: z.boolean().default(true),
  /** Exactly so many values that do not open may name an old version when it is retired, 0 unless given; the certificate lists them. */
  acceptSetAside: z.int().min(0).default(0),
  /** Accepts what `keyturn plan` says must be accepted: that a share of the values does not open. */
  accept: z.boolean().default(false),
  /** The longest that one call may take; 15 unless given. Rewriting goes on in the next call; a retirement must be done in one. */
  minutes: z.int().min(1).max(1440).default(15),
  /** How long the rewriting may take in all before the run goes back; 24 unless given. */
  hours: z.int().min(1).max(720).default(24),
})

/** The longest share of a call that a retirement is planned with: an estimate is one. */
const planned = 0.5

/**
 * A keyring of Keyturn itself, in the inventory like every other secret: a new key version, every value rewritten under it, and the old version
 * retired. Nothing of a key leaves Keyturn: the credential is the id of the version, so that no store is needed.
 *
 * What is chosen is kept before anything is made: "the version that follows this one". A process that dies is followed by one that goes on with that
 * rotation, whoever had begun it; where somebody else rotates the keyring meanwhile, the run waits for it and has the same version. Until the old
 * version is retired the run can be taken back: the old one becomes active again, the values are rewritten under it, and the new one is retired.
 *
 * Where values do not name their key, in a format such as `hex-colon` or in Redis, nothing can refuse the old version: it stays, and the run says that
 * no value is under it and claims no more. Keyrings of the environment, of a table and those that sign are refused by `plan`.
 */
export default function keyring(given: z.infer<typeof options>, world: World): Rotator {
  const { keyring: name } = given
  const where = `keyring "${name}"`
  const callMs = given.minutes * 60_000
  const settleMs = given.hours * 3_600_000
  const app = () => world.application().keyturn
  const versions = () => asked(where, () => versionsOf(app(), name))
  const credentialOf = ({ id }: Version, replaces: string): Credential => ({ id, parts: { keyring: name, version: id, replaces } })

  /** Rewrites until everything is current, or until the call is nearly over: then the next one goes on. */
  async function rewritten(call: Call, begin: RotateOptions | null): Promise<void> {
    const given = { signal: stretch(call.signal, callMs), handOver: true }
    const unfinished = await unfinishedOf(app(), name)
    if (unfinished?.live) throw outside('busy', where, `rotation ${unfinished.id} is being run by another process`, 5_000)
    if (unfinished?.state === 'paused' && !unfinished.note?.startsWith('stopped by '))
      throw outside('busy', where, `rotation ${unfinished.id} was paused. Go on with it: keyturn resume ${unfinished.id}`, 5_000)
    if (unfinished === null && begin === null) return
    const result = await asked(where, () =>
      unfinished === null ? app().rotate(name, { ...begin, ...given }) : app().resume(unfinished.id, given),
    )
    if (result.state !== 'completed') throw outside('busy', where, progress(result), 1_000)
  }

  async function made({ parts: { version = '', replaces = '' } }: Credential): Promise<Version | null> {
    const { all } = await versions()
    const before = all.find(({ id }) => id === replaces)
    const follows = all.find(({ number, state }) => before !== undefined && number > before.number && ['pending', 'active'].includes(state))
    return all.find(({ id }) => id === version) ?? (version === '' ? (follows ?? null) : null)
  }

  /** Whether it is the credential that a run gives up, and not the one that it replaces. */
  async function isNewer(credential: Credential, other: Credential | null): Promise<boolean> {
    const { all } = await versions()
    const numberOf = (id: string | undefined) => all.find((version) => version.id === id)?.number ?? Number.POSITIVE_INFINITY
    return other === null || numberOf(credential.parts.version) > numberOf(other.parts.version)
  }

  /** Makes the version before active again and moves the values back under it. Each part finds what the one before has done. */
  async function takenBack(call: Call, credential: Credential): Promise<void> {
    const unfinished = await unfinishedOf(app(), name)
    const version = await made(credential)
    if (version === null) return
    if (version.state === 'pending' || version.state === 'active') {
      const state = unfinished === null ? 'cancelled' : await asked(where, () => app().cancel(unfinished.id))
      if (state !== 'cancelled') throw outside('busy', where, `rotation ${unfinished?.id} is being cancelled`, 1_000)
    }
    if (version.state === 'pending') return await asked(where, () => app().destroy(name, version.id, { now: true }))
    if (version.state === 'active') await asked(where, () => app().goBack(name, { from: version.id, to: credential.parts.replaces ?? '' }))
    if (version.state === 'retired' || version.state === 'destroyed') return
    await rewritten(call, { newVersion: false, accept: true })
    await ended(call, [version.id])
  }

  /** The proof that nothing is under a version and that nothing can come under it. */
  async function ended({ signal }: Call, chosen?: readonly string[]): Promise<void> {
    if (!given.retire || namelessPlaces(app(), name).length > 0) return
    const { acceptSetAside } = given
    const versions = chosen === undefined ? {} : { versions: chosen }
    await asked(
      where,
      () => app().retire(name, { signal: stretch(signal, callMs), acceptSetAside, ...versions }),
      `the retirement takes longer than a call may, ${given.minutes} min. Raise "minutes"`,
    )
  }

  /** Values under other versions than the active one, beside those that the newest rotation has set aside. */
  async function older({ signal }: Call): Promise<{ readonly values: number; readonly total: number }> {
    const { fields } = await asked(where, () => app().census({ keyring: name, signal: stretch(signal, callMs) }))
    const [newest] = (await app().rotations.list({ keyring: name, limit: 1 })).items
    const other = fields.flatMap(({ groups }) => groups).reduce((sum, { current, values }) => sum + (current ? 0 : values), 0)
    return { values: Math.max(0, other - (newest?.setAside ?? 0)), total: fields.reduce((sum, { total }) => sum + total, 0) }
  }

  async function activeVerdict(call: Call, version: Version): Promise<Verdict> {
    for (const field of fieldsUnder(app(), name))
      if (!(await asked(where, () => canary(field))))
        return { works: false, later: false, sentence: `a value of field "${field.name}" does not come back under it` }
    const { values, total } = await older(call)
    if (values > 0)
      return { works: false, later: true, sentence: `${values} of ${total} values are under an older version, or were written meanwhile` }
    return { works: true, sentence: `version ${version.id} encrypts and opens in every field; all of ${total} values are under it` }
  }

  /** What is left of a version that has ended. */
  async function remaining(call: Call, credential: Credential): Promise<Verdict> {
    const version = await made(credential)
    if (version === null || version.state === 'destroyed') return { works: false, later: false, sentence: 'there is no such version' }
    if (version.state === 'active' || version.state === 'pending')
      return { works: true, sentence: `version ${version.id} is ${version.state}` }
    if (version.state === 'retired') {
      const gone = (await app().missingFences(name)).filter(({ keyId }) => keyId === version.id)
      const [first] = gone
      return first === undefined
        ? { works: false, later: false, sentence: `version ${version.id} is retired: the database refuses it in every column` }
        : { works: true, sentence: `nothing refuses version ${version.id} in ${first.table}, column ${first.column}` }
    }
    const nameless = namelessPlaces(app(), name)
    if (given.retire && nameless.length === 0) return { works: true, sentence: `version ${version.id} is not retired` }
    const { values, total } = await older(call)
    if (values > 0) return { works: true, sentence: `${values} of ${total} values are not under the active version` }
    const why = nameless.length === 0 ? '' : `: ${nameless.join('; ')}`
    const sentence = `no value is under version ${version.id}. It is not retired${why}. That nothing is written under it is not claimed`
    return { works: false, later: false, sentence }
  }

  return {
    parts: { keyring: 'public', version: 'public', replaces: 'public' },
    overlap: true,
    callMs,
    workMs: settleMs,
    settleMs,
    check: (call) => findings(() => checked(world, given, call)),
    current: async () => {
      const { active } = await versions()
      return credentialOf(active, '')
    },
    propose: async () => ({ id: null, parts: { keyring: name, version: '', replaces: (await versions()).active.id } }),
    create: async (call, proposed) => {
      const replaces = proposed?.parts.replaces ?? ''
      const isMade = (await versions()).active.id !== replaces
      // One that is active was made by a call that was not heard of, or by somebody else: its values are to be rewritten, and no other made.
      await rewritten(call, isMade ? { newVersion: false, accept: given.accept } : { accept: given.accept })
      const { active } = await versions()
      if (active.id === replaces) throw outside('busy', where, 'another rotation has ended that made no new version', 1_000)
      return credentialOf(active, replaces)
    },
    verify: async (call, credential) => {
      const version = await made(credential)
      if (version?.state === 'active') return await activeVerdict(call, version)
      if (version?.state === 'retiring' && version.id !== '')
        return { works: true, sentence: `version ${version.id} was replaced; it opens what is under it` }
      const verdict = await remaining(call, credential)
      return verdict.works ? { works: false, later: true, sentence: verdict.sentence } : verdict
    },
    remains: remaining,
    revoke: async (call, credential, successor) => {
      if (await isNewer(credential, successor)) return await takenBack(call, credential)
      await rewritten(call, null)
      await ended(call)
    },
  }
}

function progress({ state, rotated, failedCount }: RotationResult): string {
  const words = state === 'waiting' ? 'waits for whoever still writes under the old version' : 'goes on'
  return `${rotated} values are rewritten${failedCount === 0 ? '' : `, ${failedCount} do not open`}; it ${words}`
}

async function checked(world: World, given: z.infer<typeof options>, _: Call): Promise<readonly Finding[]> {
  const { keyturn } = world.application()
  const { keyring: name, minutes, hours } = given
  const config = keyturn.config.keyrings[name]
  const fault = (sentence: string): Finding[] => [{ severity: 'fault', sentence }]
  if (config === undefined) return fault(`there is no keyring "${name}" in the configuration`)
  if (!('root' in config))
    return fault(
      'primary' in config
        ? `keyring "${name}" has its keys from the environment. Rotate the variable as a secret of the rotator "random", then: keyturn rotate ${name}`
        : `keyring "${name}" has its keys in a table of the application, which Keyturn only reads`,
    )
  if (config.sign !== undefined) return fault(`keyring "${name}" signs tokens, which end by their own grace: keyturn rotate ${name}`)
  const fields: readonly Field[] = fieldsUnder(keyturn, name)
  if (fields.length === 0) return fault(`no field of the configuration is under keyring "${name}"`)
  const plan = await keyturn.plan(name)
  const found: Finding[] = plan.warnings.map((sentence) => ({ severity: 'warning', sentence }))
  const say = (severity: Finding['severity'], sentence: string) => found.push({ severity, sentence })
  if (!given.accept) for (const sentence of plan.mustAccept) say('fault', `${sentence}. Mend these values, or set "accept"`)
  if (plan.seconds > hours * 3_600) say('fault', `the rewriting takes about ${Math.ceil(plan.seconds / 3_600)} h. Raise "hours"`)
  const nameless = namelessPlaces(keyturn, name)
  if (!given.retire) return found
  for (const place of nameless) say('warning', `the old version is not retired, and nothing is claimed of it: ${place}`)
  if (nameless.length === 0 && plan.seconds > minutes * 60 * planned)
    say('fault', `a retirement is done in one call, and takes about ${Math.ceil(plan.seconds / 60)} min. Raise "minutes"`)
  return found
}
