import { createHash } from 'node:crypto'
import { z } from 'zod'
import { awsCode } from '../outside/aws.ts'
import { AwsSecret, awsSecretOptions, CURRENT, PREVIOUS, type SecretState } from '../outside/aws-secret.ts'
import { outside } from '../outside/failure.ts'
import { findings } from '../outside/findings.ts'
import type { Call, Finding, World } from '../secret/call.ts'
import type { Held, Store, Values } from '../secret/store.ts'

export const options = z.strictObject({
  ...awsSecretOptions,
  /** `json`: an object, and names are its members. `text`: the whole value; there is one name then, whatever it is. */
  format: z.enum(['json', 'text']).default('json'),
})

type Format = z.infer<typeof options>['format']

/** Contents tried under ids that one attempt can have. */
const MOST_VERSIONS = 20

/**
 * A secret of AWS Secrets Manager. A write makes a version of its own and moves AWSCURRENT to it, if that still stands where it was read: what somebody
 * else writes at the same time is not lost. What goes back is moved back to the version that is there, AWSPREVIOUS.
 *
 * Staged versions carry a label `keyturn-ATTEMPT`, which is taken away when they are current: AWSPENDING is that of rotations by AWS, which it would block.
 * Their ids follow from the attempt, so that a repetition makes none twice. Values are read by the id of their version. Other members of a JSON object stay as
 * they are. The secret has to be there; AWS must not rotate it itself at the same time. AWS advises against more than one version every ten minutes for long.
 *
 * Needs `secretsmanager:DescribeSecret`, `GetSecretValue`, `PutSecretValue` and `UpdateSecretVersionStage` on the secret, `kms:Decrypt` and
 * `kms:GenerateDataKey` on a key of its own, and the optional peer `@aws-sdk/client-secrets-manager`. Facts: Secrets Manager API, its User Guide ("Quotas"); tried
 * with version 3.1162.
 */
export default function awsSecretsManager(given: z.infer<typeof options>, world: World): Store {
  const secret = new AwsSecret(given, world)
  const { where } = secret
  const { format } = given
  const labelOf = ({ attempt }: Call) => `keyturn-${attempt}`

  /** What consumers read now. */
  const current = async (
    call: Call,
  ): Promise<{ readonly state: SecretState; readonly id: string | null; readonly text: string | null }> => {
    const state = await secret.describe(call)
    const id = state.holder(CURRENT)
    return { state, id, text: id === null ? null : await secret.read(call, id) }
  }

  /** Makes a version that holds the text, under the first id of this attempt that is free or holds it already. */
  const put = (call: Call, text: string): Promise<string> =>
    secret.call(call, async (client, id, options) => {
      for (let number = 0; number < MOST_VERSIONS; number++) {
        const ClientRequestToken = versionId(call.attempt, number)
        try {
          await client.putSecretValue({ ...id, ClientRequestToken, SecretString: text, VersionStages: [labelOf(call)] }, options)
          return ClientRequestToken
        } catch (error) {
          // Another content of the same attempt: other members have changed since.
          if (awsCode(error) !== 'ResourceExistsException') throw error
        }
      }
      throw outside('refused', where, `this attempt has made ${MOST_VERSIONS} versions already`)
    })

  return {
    provider: 'aws',
    check: (call, names) =>
      findings(async () => {
        const found: Finding[] = []
        const say = (severity: Finding['severity'], sentence: string) => found.push({ severity, sentence: `${where}: ${sentence}` })
        if (format === 'text' && names.length !== 1) say('fault', 'a secret of the format "text" has one name')
        const state = await secret.describe(call)
        if (state.deleted) say('fault', 'it is scheduled for deletion')
        if (state.rotation.enabled) say('warning', 'AWS rotates it, too. Turn that off, or use the rotator aws-secrets-manager-rotation')
        if (state.deleted) return found
        const id = state.holder(CURRENT)
        const text = id === null ? null : await secret.read(call, id)
        if (format === 'json' && text !== null && membersOf(text) === null)
          say('fault', 'it does not hold a JSON object. Say format: "text"')
        return found
      }),

    look: async (call, names) => {
      const { text } = await current(call)
      const held: Members = text === null ? new Map() : valuesOf(text, { format, where })
      return Object.fromEntries(names.map((name): [string, Held] => [name, heldOf(held, name, format)]))
    },

    stage: async (call, values) => {
      const { text } = await current(call)
      const wanted = merged(text, values, { format, where })
      if (wanted !== text) await put(call, wanted)
    },

    write: async (call, values) => {
      const { state, id, text } = await current(call)
      const wanted = merged(text, values, { format, where })
      if (wanted === text) {
        await withoutLabel(call, state.holder(labelOf(call)))
        return { version: id }
      }
      const before = state.holder(PREVIOUS)
      const isBefore = before !== null && isSame(await secret.read(call, before), wanted, format)
      const target = isBefore ? before : await put(call, wanted)
      // The first version of a secret is the current one at once.
      const isMoved = target === id || (await secret.moveLabel(call, CURRENT, { from: id, to: target }))
      if (!isMoved && (await secret.describe(call)).holder(CURRENT) !== target)
        throw outside('busy', where, 'somebody else has written to it at the same time')
      await withoutLabel(call, target)
      if (isBefore) await withoutLabel(call, state.holder(labelOf(call)))
      return { version: target }
    },

    unstage: async (call) => withoutLabel(call, (await secret.describe(call)).holder(labelOf(call))),
  }

  /** What carries the label of this attempt carries it no more: AWS removes the version when it has no other. */
  async function withoutLabel(call: Call, from: string | null): Promise<void> {
    if (from !== null) await secret.moveLabel(call, labelOf(call), { from, to: null })
  }
}

/** The id of a version: that of the attempt, and others that follow from it. A digest of the content would tell something of it. */
function versionId(attempt: string, number: number): string {
  return number === 0 ? attempt : createHash('sha256').update(`${attempt}:${number}`).digest('hex').slice(0, 32)
}

/** A member as it stood: numbers keep their digits. */
type Members = ReadonlyMap<string, unknown>
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

/** The members of a JSON object; null for anything else. */
function membersOf(text: string): Members | null {
  const asWritten: Reviver = (_, value, { source }) => (typeof value === 'number' && source !== undefined ? rawJSON(source) : value)
  try {
    const parsed: unknown = JSON.parse(text, asWritten as Parameters<typeof JSON.parse>[1])
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? new Map(Object.entries(parsed)) : null
  } catch {
    return null
  }
}

interface Form {
  readonly format: Format
  readonly where: string
}

function valuesOf(text: string, { format, where }: Form): Members {
  if (format === 'text') return new Map([['', text]])
  const members = membersOf(text)
  if (members === null) throw outside('refused', where, 'it does not hold a JSON object')
  return members
}

function heldOf(members: Members, name: string, format: Format): Held {
  const value = members.get(format === 'text' ? '' : name)
  if (value === undefined || value === null) return null
  return { value: typeof value === 'string' ? value : JSON.stringify(value) }
}

/** The content with these values in it; the same text where it holds them already. */
function merged(text: string | null, values: Values, form: Form): string {
  if (form.format === 'text') {
    const [value, ...more] = Object.values(values)
    if (value == null || more.length > 0) throw outside('refused', form.where, 'a secret of the format "text" has one value, always')
    return value
  }
  const members = text === null ? new Map<string, unknown>() : valuesOf(text, form)
  const isHeld = ([name, value]: [string, string | null]) => (value === null ? !members.has(name) : members.get(name) === value)
  if (text !== null && Object.entries(values).every(isHeld)) return text
  const next = new Map(members)
  for (const [name, value] of Object.entries(values)) {
    if (value === null) next.delete(name)
    else next.set(name, value)
  }
  return JSON.stringify(Object.fromEntries(next))
}

/** Whether two contents mean the same, however they are written. */
function isSame(a: string | null, b: string, format: Format): boolean {
  if (a === b || a === null || format === 'text') return a === b
  const [one, other] = [membersOf(a), membersOf(b)]
  if (one === null || other === null || one.size !== other.size) return false
  return [...one].every(([name, value]) => other.has(name) && JSON.stringify(value) === JSON.stringify(other.get(name)))
}
