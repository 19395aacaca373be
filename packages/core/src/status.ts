import type { OpenedKeyring } from './config/open-keyrings.ts'
import { dueOf } from './keyring/policy.ts'
import type { KeyringStatus, RotationStatus, SigningStatus, Status } from './keyturn.ts'
import type { Opening } from './opened-keyturn.ts'
import { knownKeys } from './rotation/known-keys.ts'
import type { Run } from './rotation/run.ts'
import { graceEnd, graceOf, tokensOf } from './signing/turnover.ts'

const shownRuns = 50

/** What stands where: keyrings, versions, rotations and holds. Opens no value. */
export async function statusOf(opening: Opening, only: string | undefined): Promise<Status> {
  const { database } = opening
  const runs = (await database.hasState()) ? await database.runs.list(shownRuns) : []
  return {
    keyrings: await keyringStatuses(opening, only),
    rotations: await Promise.all(
      runs.filter(({ keyring }) => only === undefined || keyring === only).map((run) => rotationStatus(opening, run)),
    ),
    holds: await database.holds(),
  }
}

/** The keyrings alone: what is asked for often. */
export async function keyringStatuses(opening: Opening, only: string | undefined): Promise<readonly KeyringStatus[]> {
  const chosen = [...opening.keyrings].filter(([name]) => only === undefined || name === only)
  return await Promise.all(chosen.map(([name, keyring]) => keyringStatus(opening, name, keyring)))
}

async function rotationStatus({ database }: Opening, { id, keyring, mode, state, createdAt, note }: Run): Promise<RotationStatus> {
  const { total } = await database.runs.setAside(id, 0)
  return { id, keyring, mode, state, createdAt: createdAt.toISOString(), setAside: total, note }
}

async function keyringStatus(opening: Opening, name: string, opened: OpenedKeyring): Promise<KeyringStatus> {
  const { config, fields, world } = opening
  const { live, stored, kind } = opened
  const store = opened.store ?? world.store
  const messages = stored === null ? new Map<string, number>() : await store.messages(name)
  const keyring = config.keyrings[name]
  const policy = keyring !== undefined && 'root' in keyring ? keyring : {}
  const now = await store.now()
  const due = stored === null ? null : dueOf(live.snapshot, messages, policy, now)
  const signing = await signingStatus(opening, name)
  return {
    name,
    kind,
    revision: live.snapshot.revision,
    versions: kind === 'stored' && stored === null ? [] : versionsOf(opened, messages, await activators(opening, opened)),
    due: [...(due?.due ?? []), ...retirable(signing, now)],
    dueAt: due?.dueAt?.toISOString() ?? null,
    findings: knownKeys(
      [...fields.values()].filter((field) => field.keyring === live),
      live,
    ),
    messagesLeft: signing === null ? (due?.messagesLeft ?? null) : null,
    fields: [...fields.values()].filter((field) => field.keyring.name === name).map((field) => field.name),
    signing,
  }
}

/** Who made the versions of a keyring active: the log says it, whose chain shows when it was changed. */
async function activators({ state }: Opening, { live, stored, store }: OpenedKeyring): Promise<ReadonlyMap<string, string>> {
  // A keyring from a file has its events where it was made.
  if (stored === null || store?.name === 'file') return new Map()
  const { rows } = await state.query(
    `SELECT actor, data FROM ${state.schema}.audit_event
     WHERE subject = $1::text AND action IN ('keyring.create', 'version.activate') ORDER BY audit_event.seq`,
    [`keyring/${live.name}`],
  )
  return new Map(rows.map(({ actor, data }) => [versionIn(String(data)), String(actor)]))
}

function versionIn(data: string): string {
  try {
    return String(JSON.parse(data)?.version)
  } catch {
    // Somebody wrote over it: "keyturn audit verify" says so.
    return ''
  }
}

function versionsOf(
  { live, stored, labels }: OpenedKeyring,
  messages: ReadonlyMap<string, number>,
  activatedBy: ReadonlyMap<string, string>,
): KeyringStatus['versions'] {
  return live.snapshot.versions.map(({ id, number, state, compromised, createdAt, activatedAt, retiredAt }) => ({
    // The id of a key from the environment is derived from the key: shown, it would let others test guesses of a passphrase.
    id: labels?.get(id) ?? id,
    number,
    state,
    compromised,
    createdAt: createdAt.getTime() === 0 ? null : createdAt.toISOString(),
    activatedAt: stored === null ? null : (activatedAt?.toISOString() ?? null),
    retiredAt: retiredAt?.toISOString() ?? null,
    activatedBy: activatedBy.get(id) ?? null,
    messages: messages.get(id) ?? null,
    roots: stored?.stored.versions.find((version) => version.id === id)?.wrappings.map(({ rootId }) => rootId) ?? [],
  }))
}

/** Of a keyring that is not made yet, what its configuration says. */
async function signingStatus({ signing, keyrings }: Opening, name: string): Promise<SigningStatus | null> {
  const opened = signing.get(name)
  const keyring = keyrings.get(name)
  // Opened for looking before it was made, it has no keys.
  if (opened === undefined || keyring === undefined || (keyring.kind === 'stored' && keyring.stored === null)) return null
  const { algorithm, times } = opened.signing
  const counts = (await opened.counts?.list(name)) ?? []
  const { snapshot } = keyring.live
  const grace = graceOf(times, counts)
  const ends = snapshot.versions.map(({ id }) => ({ versionId: id, endsAt: graceEnd(snapshot, id, grace) }))
  const refused = counts.filter((count) => count.what !== 'signed')
  return {
    algorithm,
    lifetimeSeconds: Math.floor(times.lifetimeMs / 1000),
    graceSeconds: Math.ceil(times.graceMs / 1000),
    everywhereSeconds: keyring.stored === null ? null : Math.ceil(times.everywhereMs / 1000),
    grace:
      keyring.stored === null ? [] : ends.flatMap(({ versionId, endsAt }) => (endsAt ? [{ versionId, endsAt: endsAt.toISOString() }] : [])),
    valid: [...tokensOf(counts)].flatMap(([versionId, kinds]) => kinds.map((of) => ({ versionId, ...of }))),
    refused: refused.map(({ what, versionId, count, at }) => ({
      reason: what as SigningStatus['refused'][number]['reason'],
      versionId: versionId === '' ? null : versionId,
      count,
      lastAt: at.toISOString(),
    })),
  }
}

function retirable(signing: SigningStatus | null, now: Date): string[] {
  const over = signing?.grace.filter(({ endsAt }) => new Date(endsAt) <= now) ?? []
  return over.map(({ versionId }) => `retire: what key version ${versionId} has signed has expired`)
}
