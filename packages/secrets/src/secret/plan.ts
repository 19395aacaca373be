import { durationMs, fail, isKeyturnError } from '@keyturn/core'
import { scrubbedText } from '../run/scrubbed.ts'
import { stepsForward } from '../run/steps.ts'
import type { Call, Finding, World } from './call.ts'
import type { Credential } from './credential.ts'
import type { OpenedSecret } from './opened-secret.ts'
import type { Limit } from './provider.ts'
import { isNewer, readTruth, truthOf } from './truth.ts'

/** A finding, and where in the configuration. */
export interface PlacedFinding extends Finding {
  readonly place: string
}

/** What a rotation would do. Nothing that changes anything was called for it. */
export interface SecretPlan {
  readonly secret: string
  readonly rotator: string
  /** Whether a credential is known that would be revoked. */
  readonly hasOld: boolean
  /** What would be called, in order: `write:promote`, with which parts. */
  readonly steps: readonly { readonly step: string; readonly calls: readonly string[] }[]
  /** Whether log-ins would be refused for a while, because the issuer has one password only. */
  readonly gap: boolean
  /** How much is asked of whom at most, together with everybody else on the same state. */
  readonly limits: readonly PlannedLimit[]
  readonly findings: readonly PlacedFinding[]
}

/** A limit, and the parts of the secret that share it. */
export interface PlannedLimit extends Limit {
  readonly provider: string
  readonly parts: readonly string[]
}

/** Looks at everything that a rotation needs, by each part's `check`. Faults stand first. */
export async function planOf(
  secret: OpenedSecret,
  {
    secrets,
    current,
    call,
    read,
    running = [],
    known = [],
  }: {
    readonly secrets: ReadonlyMap<string, OpenedSecret>
    readonly current: Credential | null
    readonly call: Call
    readonly read: World['read']
    /** Secrets that are not changed at the same time and have a run. */
    readonly running?: readonly string[]
    /** Values that no finding may repeat. */
    readonly known?: readonly string[]
  },
): Promise<SecretPlan> {
  const hasOld = current !== null || secret.config.first !== undefined || secret.rotator.current !== undefined || truthOf(secret) !== null
  const first = current === null && truthOf(secret) === null ? await unreadable(secret, read) : []
  const said = (await checked(secret, current, call)).map((each) => ({ ...each, sentence: scrubbedText(each.sentence, known) }))
  const findings = [...inConfiguration(secret, secrets, hasOld), ...inOrder(secret, running), ...first, ...said]
  return {
    secret: secret.name,
    rotator: secret.config.rotator.rotator,
    hasOld,
    steps: stepsForward(secret, { hasOld }).map((step) => ({ step, calls: callsOf(secret, step) })),
    gap: !secret.rotator.overlap,
    limits: limitsOf(secret),
    findings: findings.toSorted((one, other) => one.severity.localeCompare(other.severity)),
  }
}

function limitsOf({ rotator, config, stores, targets, gates, providers }: OpenedSecret): PlannedLimit[] {
  const parts: [part: object, words: string][] = [
    [rotator, `rotator ${config.rotator.rotator}`],
    ...stores.map(({ store, name }): [object, string] => [store, `store ${name}`]),
    ...targets.map(({ part, name }): [object, string] => [part, `target ${name}`]),
    ...gates.map(({ part, name }): [object, string] => [part, `gate ${name}`]),
  ]
  const found = new Map<string, PlannedLimit>()
  for (const [part, words] of parts) {
    const provider = providers.get(part)
    if (provider === undefined) continue
    const { name, key, limit } = provider
    const known = found.get(key)?.parts ?? []
    found.set(key, { provider: name, ...limit, parts: known.includes(words) ? known : [...known, words] })
  }
  return [...found.values()]
}

/** Secrets that are not changed at the same time as this one, whichever of the two names the other. */
export function notTogether({ name, config }: OpenedSecret, secrets: ReadonlyMap<string, OpenedSecret>): string[] {
  const others = [...secrets.values()].filter((other) => config.after?.includes(other.name) || other.config.after?.includes(name))
  return others.map((other) => other.name).filter((other) => other !== name)
}

function inOrder({ name, config }: OpenedSecret, running: readonly string[]): PlacedFinding[] {
  const place = `secrets.${name}.after`
  const refused = running.map((other): PlacedFinding => {
    const sentence = `secret "${other}" has a run that is not over, and the two are not changed at the same time`
    return { severity: 'fault', place, sentence }
  })
  const free = (config.after ?? []).filter((other) => !running.includes(other)).map((other) => `"${other}"`)
  const sentence = `a rotation by hand does not wait for ${free.join(', ')}, which would go first if both were due`
  return [...refused, ...(free.length === 0 ? [] : [{ severity: 'warning', place, sentence } as const])]
}

/** @throws `ERR_SECRET_PLAN` with the first fault */
export function assertSound({ secret, findings }: SecretPlan): void {
  const fault = findings.find(({ severity }) => severity === 'fault')
  if (fault !== undefined) throw fail('ERR_SECRET_PLAN', secret, fault.place, fault.sentence)
}

/** For a credential that is taken over from the source of truth: how one is made does not matter. @throws as `assertSound` */
export function assertTakeable({ findings, ...plan }: SecretPlan): void {
  assertSound({ ...plan, findings: findings.filter(({ place }) => /\.(stores|targets|gates)(\[\d+\])?$/.test(place)) })
}

/** For values that are only written and deployed: what else is wrong does not matter. @throws as `assertSound` */
export function assertWritable({ findings, ...plan }: SecretPlan): void {
  assertSound({ ...plan, findings: findings.filter(({ place }) => /\.(stores|targets)\[\d+\]$/.test(place)) })
}

/** What can be said without asking anybody. */
function inConfiguration(secret: OpenedSecret, secrets: ReadonlyMap<string, OpenedSecret>, hasOld: boolean): PlacedFinding[] {
  const { name, config, rotator, graceMs, soakMs, stores, gates, slots } = secret
  const at = `secrets.${name}`
  const found: PlacedFinding[] = []
  const say = (severity: Finding['severity'], place: string, sentence: string) =>
    found.push({ severity, place: `${at}.${place}`, sentence })
  if (config.every !== undefined && durationMs(config.every) <= graceMs + soakMs)
    say('fault', 'every', 'the interval is shorter than the grace: the next rotation would begin while the old credential still works')
  for (const slot of rotator.needs ?? [])
    if (!slots.has(slot)) say('fault', 'stores', `no template names {${slot}.…}: consumers share this value, and ${needs[slot]}`)
  if (rotator.kept)
    say(
      'fault',
      'rotator',
      `others make and end it. Change it at its issuer, write it into its source of truth, then: keyturn secrets sync ${name} --apply`,
    )
  if ((rotator.issuer === false || rotator.unverified) && !gates.some(({ part }) => part.at === 'deployed'))
    say(
      'fault',
      'gates',
      `nobody could verify it: ${rotator.unverified ? 'the rotator has no way to try it' : 'the value has no issuer to try it with'}. Name a gate that sees whether consumers work`,
    )
  const loop = loopFrom(name, secrets)
  if (loop !== null) say('fault', 'after', `the dependencies are a loop: ${loop.join(' after ')}`)
  for (const [index, other] of (config.after ?? []).entries())
    if (!secrets.has(other)) say('fault', `after[${index}]`, `there is no secret "${other}"`)
  if (stores.length === 0 && Object.values(rotator.parts).includes('secret'))
    say('warning', 'stores', 'no store is named: nobody but Keyturn will have the new value')
  if (!hasOld && rotator.issuer !== false)
    say(
      'warning',
      'first',
      'the credential in use is not known: it will not be revoked, and nothing takes the first rotation back. Name its parts',
    )
  if (config.automatic === true && rotator.task !== undefined)
    say('warning', 'automatic', 'a person must make the credential: it begins by itself and waits')
  if (!rotator.overlap)
    say('warning', 'rotator', 'the issuer has one password only: from its change until the consumers have it, log-ins are refused')
  return found
}

const needs = {
  next: 'one that has it already would make what another cannot check yet: three deployments are needed',
  previous: 'what was made with the old one would be refused at once',
}

/** What the credential in use would be read from, and cannot be. */
async function unreadable({ name, config }: OpenedSecret, read: World['read']): Promise<PlacedFinding[]> {
  const found: PlacedFinding[] = []
  for (const [part, ref] of Object.entries(config.first ?? {}))
    await read(ref).catch((error: unknown) => {
      found.push({ severity: 'fault', place: `secrets.${name}.first.${part}`, sentence: sentenceOf(error) })
    })
  return found
}

/** The names along a loop of `after`, or null. */
function loopFrom(name: string, secrets: ReadonlyMap<string, OpenedSecret>): string[] | null {
  const walk = (at: string, path: readonly string[]): string[] | null => {
    if (path.includes(at)) return at === name ? [...path, at] : null
    for (const next of secrets.get(at)?.config.after ?? []) {
      const found = walk(next, [...path, at])
      if (found !== null) return found
    }
    return null
  }
  return walk(name, [])
}

async function checked(secret: OpenedSecret, current: Credential | null, call: Call): Promise<PlacedFinding[]> {
  const { rotator, stores, targets, gates } = secret
  const at = `secrets.${secret.name}`
  const asked: [place: string, check: () => Promise<readonly Finding[]>][] = [
    [`${at}.rotator`, () => rotator.check(call, current)],
    ...stores.map(({ place, store, templates }): [string, () => Promise<readonly Finding[]>] => [
      place,
      () => store.check(call, Object.keys(templates)),
    ]),
    ...[...targets, ...gates].map(({ place, part }): [string, () => Promise<readonly Finding[]>] => [place, () => part.check(call)]),
  ]
  const findings: PlacedFinding[] = []
  for (const [place, check] of asked) {
    // What cannot even be looked at would fail when it is used.
    const found = await check().catch((error: unknown): readonly Finding[] => [{ severity: 'fault', sentence: sentenceOf(error) }])
    findings.push(...found.map((each) => ({ ...each, place })))
  }
  const truth = await readTruth(secret, call).catch(() => null)
  if (truth !== null && current !== null && isNewer(truth, current))
    findings.push({
      severity: 'fault',
      place: `${truth.store.place}.truth`,
      sentence: `the source of truth holds another credential than the one in use, and a rotation would write over it. Take it over first: keyturn secrets sync ${secret.name} --apply`,
    })
  return findings
}

const sentenceOf = (error: unknown): string =>
  isKeyturnError(error) ? error.message : 'it could not be looked at, for a reason that it does not explain'

function callsOf({ config, stores, targets, gates }: OpenedSecret, step: string): string[] {
  const [kind] = step.split(':')
  const deployed = gates.filter(({ part }) => part.at === 'deployed').map(({ name }) => `gate ${name}`)
  const of: Record<string, readonly string[]> = {
    write: stores.map(({ name, templates }) => `store ${name}: ${Object.keys(templates).join(', ')}`),
    stage: stores.filter(({ store }) => store.stage !== undefined).map(({ name }) => `store ${name}`),
    deploy: targets.map(({ name }) => `target ${name}`),
    gates: deployed,
    unused: gates.filter(({ part }) => part.at === 'unused').map(({ name }) => `gate ${name}`),
    soak: deployed,
    prepare: gates.filter(({ part }) => part.before !== undefined).map(({ name }) => `gate ${name}`),
  }
  return [...(of[kind ?? ''] ?? (kind === 'grace' ? [] : [`rotator ${config.rotator.rotator}`]))]
}
