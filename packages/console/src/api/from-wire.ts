import type * as domain from '../domain.ts'
import type * as leak from '../leak.ts'
import type * as record from '../record.ts'
import type * as secret from '../secret.ts'
import { canonical } from './canonical.ts'
import type { Wire, WireCensus, WireCertificate, WireKeyring, WirePlan, WireSetAside, WireVersion } from './wire.ts'

const date = (text: string | null): Date | null => (text === null ? null : new Date(text))

const version = ({ createdAt, activatedAt, retiredAt, state, ...rest }: WireVersion): domain.KeyVersion => ({
  ...rest,
  state: state as domain.KeyState,
  createdAt: date(createdAt),
  activatedAt: date(activatedAt),
  retiredAt: date(retiredAt),
})

function due(sentence: string): domain.Due {
  const [, what = 'soon', why = sentence] = /^(rotate|soon|retire|destroy): (.*)$/s.exec(sentence) ?? []
  return { what: what as domain.Due['what'], why }
}

const summary = <T extends Wire<secret.RunSummary>>({ createdAt, endedAt, wakeAt, ...rest }: T) => ({
  ...rest,
  createdAt: new Date(createdAt),
  endedAt: date(endedAt),
  wakeAt: date(wakeAt),
})

/** The one place where what the server sends becomes what the pages speak of. */
export const fromWire = {
  keyring: ({ name, kind, findings, messagesLeft, fields, policy, ...wire }: WireKeyring): domain.Keyring => {
    const versions = wire.versions.map(version).sort((a, b) => b.number - a.number)
    return {
      ...{ name, kind, findings, messagesLeft, fields, policy, versions },
      signs: wire.signing !== null,
      active: versions.find(({ state }) => state === 'active') ?? null,
      due: wire.due.map(due),
      dueAt: date(wire.dueAt),
      counts: wire.census === null ? null : { ...wire.census, at: new Date(wire.census.at) },
    }
  },
  census: ({ keyring, at, running, census }: WireCensus): domain.Census => ({
    ...{ keyring, running },
    at: date(at),
    fields: census === null ? null : census.fields,
  }),
  rotation: (wire: Wire<domain.Rotation>): domain.Rotation => ({
    ...wire,
    createdAt: new Date(wire.createdAt),
    endedAt: date(wire.endedAt),
  }),
  setAside: ({ field, row, path = null, reason, what }: WireSetAside): domain.SetAside => ({
    ...{ field, path, reason, what },
    row: Object.entries(row)
      .map(([column, value]) => `${column} ${value}`)
      .join(', '),
  }),
  plan: (wire: WirePlan): domain.Plan => ({ ...wire, wire }),
  certificate: (wire: WireCertificate): record.Certificate => ({
    signer: wire.signer,
    claim: wire.claim,
    complete: wire.claim.complete === true,
    issuedAt: typeof wire.claim.issuedAt === 'string' ? new Date(wire.claim.issuedAt) : null,
    text: canonical(wire),
  }),
  auditEvent: (wire: Wire<record.AuditEvent>): record.AuditEvent => ({ ...wire, data: wire.data ?? {}, at: new Date(wire.at) }),
  secret: (wire: Wire<secret.Secret>): secret.Secret => ({
    ...wire,
    since: date(wire.since),
    dueAt: date(wire.dueAt),
    beginsAt: date(wire.beginsAt),
  }),
  runSummary: (wire: Wire<secret.RunSummary>): secret.RunSummary => summary(wire),
  run: (wire: Wire<secret.Run>): secret.Run => ({
    ...summary(wire),
    steps: wire.steps.map((step) => ({ ...step, begunAt: date(step.begunAt), endedAt: date(step.endedAt) })),
    task: wire.task === null ? null : { ...wire.task, until: new Date(wire.task.until) },
  }),
  leak: (wire: Wire<leak.Leak>): leak.Leak => ({ ...wire, countedAt: date(wire.countedAt) }),
  user: (wire: Wire<record.User>): record.User => ({
    ...wire,
    createdAt: new Date(wire.createdAt),
    lastSeenAt: date(wire.lastSeenAt),
  }),
  token: (wire: Wire<record.Token>): record.Token => ({
    ...wire,
    createdAt: new Date(wire.createdAt),
    expiresAt: date(wire.expiresAt),
    lastUsedAt: date(wire.lastUsedAt),
  }),
}
