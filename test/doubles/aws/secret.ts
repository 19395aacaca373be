import { AwsError } from './aws-error.ts'
import { type Input, seconds } from './offer.ts'
import { type Content, CURRENT, PREVIOUS, type Version, Versions } from './versions.ts'

export interface RotationRules {
  readonly AutomaticallyAfterDays?: number
  readonly ScheduleExpression?: string
  readonly Duration?: string
}

const DAY_MS = 86_400_000
const CONTENT_BYTES = 65_536

export const invalidParameter = (message: string) => new AwsError('InvalidParameterException', 400, message)
export const invalidRequest = (message: string) => new AwsError('InvalidRequestException', 400, message)
export const notFound = (message = 'Secrets Manager can’t find the specified secret.') =>
  new AwsError('ResourceNotFoundException', 400, message)

/** One secret. */
export class Secret {
  readonly name: string
  readonly arn: string
  readonly versions: Versions
  readonly createdAt: Date
  deletedAt: Date | null = null
  rotation: { enabled: boolean; lambda: string; rules: RotationRules } | null = null
  lastRotatedAt: Date | null = null
  changedAt: Date
  /** So many reads by a label of one's own, or AWSPENDING, do not find it yet. */
  staleReads = 0
  readonly #clock: () => Date

  constructor(name: string, arn: string, clock: () => Date) {
    this.name = name
    this.arn = arn
    this.#clock = clock
    this.createdAt = this.changedAt = clock()
    this.versions = new Versions(clock)
  }

  get named() {
    return { ARN: this.arn, Name: this.name }
  }

  /** @throws `InvalidRequestException` while it is scheduled for deletion */
  assertAlive(): void {
    if (this.deletedAt === null) return
    throw invalidRequest('You can’t perform this operation on the secret because it was marked for deletion.')
  }

  put(token: string, content: Content, stages: readonly string[] | null): Version {
    // The first version becomes the current one, whatever it was put as.
    const isFirst = this.versions.holder(CURRENT) === null && this.versions.all.length === 0
    const version = this.versions.put(token, content, isFirst ? [CURRENT, ...(stages ?? [])] : (stages ?? [CURRENT]))
    // For the schedule, a value that is put by hand is a rotation.
    if (version.stages.has(CURRENT)) this.changedAt = this.#clock()
    return version
  }

  /** The version that `VersionId` and `VersionStage` mean. */
  read(id: string | null, stage: string | null): Version {
    const wanted = stage ?? CURRENT
    const version = id === null ? this.versions.holder(wanted) : this.versions.get(id)
    const what = id === null ? `staging label: ${wanted}` : `VersionId: ${id}`
    const missing = notFound(`Secrets Manager can’t find the specified secret value for ${what}`)
    if (version === null) throw missing
    if (id !== null && stage !== null && !version.stages.has(stage))
      throw invalidRequest('You provided a VersionStage that is not associated to the provided VersionId.')
    if (id === null && wanted !== CURRENT && wanted !== PREVIOUS && this.staleReads > 0) {
      this.staleReads--
      throw missing
    }
    if (version.content === null) throw missing
    return version
  }

  /** What UpdateSecretVersionStage does: a label that stands somewhere else is taken only from where the caller says that it stands. */
  move(stage: string, from: string | null, to: string | null): void {
    const holder = this.versions.holder(stage)
    const target = to === null ? null : this.versions.get(to)
    if (to === null && from === null) throw invalidParameter('You must specify MoveToVersionId, RemoveFromVersionId, or both.')
    if (to !== null && target === null) throw notFound(`Secrets Manager can’t find the specified secret value for VersionId: ${to}`)
    if (to === null && stage === CURRENT)
      throw invalidParameter(`You can only move staging label ${CURRENT}. It can’t be completely removed.`)
    if (from !== null && holder?.id !== from) throw invalidParameter(`Staging label ${stage} is not attached to version ${from}.`)
    if (target !== null && holder !== null && holder !== target && from === null)
      throw invalidParameter(`The parameter RemoveFromVersionId can’t be empty: ${stage} is currently attached to version ${holder.id}.`)
    if (target === null) this.versions.detach(stage)
    else this.versions.attach(stage, target)
  }

  describe(): object {
    const { rotation, lastRotatedAt, deletedAt } = this
    const labelled = this.versions.all.filter(({ stages }) => stages.size > 0)
    const days = rotation?.enabled ? rotation.rules.AutomaticallyAfterDays : undefined
    return {
      ...this.named,
      CreatedDate: seconds(this.createdAt),
      ...(rotation !== null && {
        RotationEnabled: rotation.enabled,
        RotationLambdaARN: rotation.lambda,
        RotationRules: rotation.rules,
      }),
      ...(days !== undefined && { NextRotationDate: seconds(new Date(this.changedAt.getTime() + days * DAY_MS)) }),
      ...(lastRotatedAt !== null && { LastRotatedDate: seconds(lastRotatedAt) }),
      ...(deletedAt !== null && { DeletedDate: seconds(deletedAt) }),
      VersionIdsToStages: Object.fromEntries(labelled.map(({ id, stages }) => [id, [...stages]])),
    }
  }
}

/** The id of the version to be: 32 to 64 characters. */
export function tokenOf(input: Input): string {
  const token = input.required('ClientRequestToken')
  if (token.length < 32 || token.length > 64) throw invalidParameter('ClientRequestToken must be 32-64 characters long.')
  return token
}

/** @returns null where neither text nor bytes are given */
export function contentOf(input: Input): Content | null {
  const [text, bytes] = [input.text('SecretString'), input.text('SecretBinary')]
  if (text !== null && bytes !== null) throw invalidParameter('You can’t specify both a binary and a text value.')
  const content = text !== null ? { SecretString: text } : bytes !== null ? { SecretBinary: bytes } : null
  if (Buffer.byteLength(text ?? bytes ?? '') > CONTENT_BYTES) throw invalidParameter('the value is too long')
  return content
}
