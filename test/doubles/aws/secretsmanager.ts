import { randomBytes } from 'node:crypto'
import { type Account, region } from './account.ts'
import { AwsError } from './aws-error.ts'
import { json } from './json.ts'
import { type Input, type Operation, type Service, seconds } from './offer.ts'
import { Rotations } from './rotating.ts'
import { contentOf, invalidParameter, invalidRequest, notFound, type RotationRules, Secret, tokenOf } from './secret.ts'
import { PENDING, type Version } from './versions.ts'

const DAY_MS = 86_400_000

/** Secrets Manager. What a test sees of it besides its API: the secrets as they are, and its rotations. */
export class SecretsManager implements Service {
  readonly name = 'secretsmanager'
  readonly regions = [region]
  readonly protocol = json({ target: 'secretsmanager' })
  readonly throttled = new AwsError('ThrottlingException', 400, 'Rate exceeded')
  readonly failed = new AwsError('InternalServiceError', 500, 'An error occurred on the server side.')
  readonly rotations: Rotations
  readonly #secrets = new Map<string, Secret>()
  readonly #account: Account

  constructor(account: Account) {
    this.#account = account
    this.rotations = new Rotations(account.clock)
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateSecret: (input) => this.#create(input),
    PutSecretValue: (input) => {
      const secret = this.#alive(input)
      const content = contentOf(input)
      if (content === null) throw invalidParameter('You must provide either SecretString or SecretBinary.')
      const { id, stages } = secret.put(tokenOf(input), content, input.texts('VersionStages'))
      return { ...secret.named, VersionId: id, VersionStages: [...stages] }
    },
    GetSecretValue: (input) => {
      const secret = this.#alive(input)
      const { id, content, createdAt, stages } = secret.read(input.text('VersionId'), input.text('VersionStage'))
      return { ...secret.named, VersionId: id, ...content, VersionStages: [...stages], CreatedDate: seconds(createdAt) }
    },
    DescribeSecret: (input) => this.secret(input.required('SecretId')).describe(),
    UpdateSecretVersionStage: (input) => {
      const secret = this.#alive(input)
      secret.move(input.required('VersionStage'), input.text('RemoveFromVersionId'), input.text('MoveToVersionId'))
      return secret.named
    },
    ListSecretVersionIds: (input) => {
      const secret = this.secret(input.required('SecretId'))
      const wanted = ({ stages }: Version) => stages.size > 0 || input.flag('IncludeDeprecated') === true
      const versions = secret.versions.all.filter(wanted).map(({ id, stages, createdAt }) => ({
        VersionId: id,
        ...(stages.size > 0 && { VersionStages: [...stages] }),
        CreatedDate: seconds(createdAt),
      }))
      return { ...secret.named, Versions: versions }
    },
    RotateSecret: (input) => this.#rotate(input),
    CancelRotateSecret: (input) => {
      const secret = this.#alive(input)
      if (secret.rotation !== null) secret.rotation = { ...secret.rotation, enabled: false }
      this.rotations.cancel(secret)
      const pending = secret.versions.holder(PENDING)
      return { ...secret.named, ...(pending !== null && { VersionId: pending.id }) }
    },
    DeleteSecret: (input) => {
      const secret = this.#alive(input)
      const days = input.flag('ForceDeleteWithoutRecovery') ? 0 : (input.number('RecoveryWindowInDays') ?? 30)
      secret.deletedAt = this.#account.clock()
      if (days === 0) this.#secrets.delete(secret.name)
      return { ...secret.named, DeletionDate: seconds(new Date(secret.deletedAt.getTime() + days * DAY_MS)) }
    },
    RestoreSecret: (input) => {
      const secret = this.secret(input.required('SecretId'))
      secret.deletedAt = null
      return secret.named
    },
  }

  /** By name, ARN, or ARN without the six characters at its end. */
  secret(id: string): Secret {
    const found = this.#secrets.get(id) ?? [...this.#secrets.values()].find(({ arn }) => arn === id || arn.slice(0, -7) === id)
    if (found === undefined) throw notFound()
    return found
  }

  #alive(input: Input): Secret {
    const secret = this.secret(input.required('SecretId'))
    secret.assertAlive()
    return secret
  }

  #create(input: Input): object {
    const name = input.required('Name')
    const content = contentOf(input)
    const existing = this.#secrets.get(name)
    if (existing?.deletedAt)
      throw invalidRequest('You can’t create this secret because a secret with this name is already scheduled for deletion.')
    if (existing !== undefined) {
      const version = existing.versions.get(tokenOf(input))
      const exists = () => new AwsError('ResourceExistsException', 400, `The operation failed because the secret ${name} already exists.`)
      if (version === null || content === null) throw exists()
      const { id } = existing.put(version.id, content, null)
      return { ...existing.named, VersionId: id }
    }
    const suffix = randomBytes(3).toString('hex')
    const secret = new Secret(name, `arn:aws:secretsmanager:${region}:${this.#account.id}:secret:${name}-${suffix}`, this.#account.clock)
    const version = content === null ? null : secret.put(tokenOf(input), content, null)
    this.#secrets.set(name, secret)
    return { ...secret.named, ...(version !== null && { VersionId: version.id }) }
  }

  #rotate(input: Input): object {
    const secret = this.#alive(input)
    const token = tokenOf(input)
    const lambda = input.text('RotationLambdaARN') ?? secret.rotation?.lambda
    if (lambda === undefined)
      throw invalidRequest('No Lambda rotation function ARN is associated with this secret: You must specify RotationLambdaARN.')
    if (!this.rotations.lambdas.has(lambda))
      throw new AwsError('AccessDeniedException', 400, 'Secrets Manager cannot invoke the specified Lambda function.')
    const rules = rulesOf(input.inner('RotationRules')) ?? secret.rotation?.rules ?? {}
    if (input.flag('RotateImmediately') === false) this.rotations.probe(secret, token)
    else this.rotations.start(secret, token)
    secret.rotation = { enabled: true, lambda, rules }
    return { ...secret.named, VersionId: token }
  }
}

function rulesOf(input: Input | null): RotationRules | null {
  if (input === null) return null
  const [days, schedule, duration] = [input.number('AutomaticallyAfterDays'), input.text('ScheduleExpression'), input.text('Duration')]
  if (days !== null && schedule !== null) throw invalidParameter('Specify either AutomaticallyAfterDays or ScheduleExpression, not both.')
  if (days !== null && !(Number.isInteger(days) && days >= 1 && days <= 1_000))
    throw invalidParameter('AutomaticallyAfterDays is 1 to 1000.')
  if (schedule !== null && !/^(rate|cron)\(.+\)$/.test(schedule)) throw invalidParameter('ScheduleExpression is rate(…) or cron(…).')
  return {
    ...(days !== null && { AutomaticallyAfterDays: days }),
    ...(schedule !== null && { ScheduleExpression: schedule }),
    ...(duration !== null && { Duration: duration }),
  }
}
